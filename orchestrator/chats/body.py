"""What all request bodies have in common."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

ShortText = Annotated[str, Field(min_length=1, max_length=256)]


class BodyPart(BaseModel):
    """A part of a request body that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RequestBody(BodyPart):
    """A whole request body. null means absent, as OpenAI's clients send it."""

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        # Half of a surrogate pair, which JSON can spell, is no Unicode text: it could be neither stored nor sent on.
        try:
            if isinstance(data, dict):
                json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text is not valid Unicode") from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data
