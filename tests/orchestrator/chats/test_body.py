"""What every request body refuses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.chats.body import BodyPart, RequestBody, ShortText


class Named(RequestBody):
    name: ShortText
    size: float = 0


def test_half_of_a_surrogate_pair_and_endless_nesting_are_refused() -> None:
    with pytest.raises(ValidationError, match="not valid Unicode"):
        Named.model_validate({"name": "a\ud83d"})
    deep: dict[str, object] = {}
    for _ in range(20_000):
        deep = {"a": deep}
    with pytest.raises(ValidationError, match="nested too deeply"):
        Named.model_validate({"name": "a", "more": deep})


def test_unknown_keys_and_numbers_that_are_none_are_refused() -> None:
    for wrong in ({"name": "a", "nme": "b"}, {"name": ""}, {"name": "a", "size": float("nan")}):
        with pytest.raises(ValidationError):
            Named.model_validate(wrong)
    assert issubclass(RequestBody, BodyPart)
