"""What all request bodies have in common."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

ShortText = Annotated[str, Field(min_length=1, max_length=256)]
MAX_TOKENS = 2**31 - 1
"""The largest token limit that is understood. Clients send any number to say "as many as there is room for"."""


class BodyPart(BaseModel):
    """A part of a request body that refuses unknown keys, NaN and infinity. null means absent, as OpenAI's clients send
    it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


class RequestBody(BodyPart):
    """A whole request body: one that can be stored and sent on."""

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        # JSON can spell half of a surrogate pair, which is no Unicode text, and Python reads numbers that JSON has not.
        if not isinstance(data, dict):
            return data
        try:
            json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text is not valid Unicode") from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except ValueError:
            name = next(name for name, value in data.items() if not _finite(value))
            raise ValueError(f"{name}: a finite number is needed, not NaN or infinity") from None
        return data


def _finite(value: object) -> bool:
    """Whether JSON has all numbers in it."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
