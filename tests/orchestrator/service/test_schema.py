"""Bodies besides chats: bounded, and refused by the name of the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.service.schema import EmbeddingsBody, FeedbackBody, JobBody, RouteBody


@pytest.mark.parametrize(
    ("body", "given", "field"),
    [
        (RouteBody, {"questions": []}, "questions"),
        (RouteBody, {"questions": [""]}, "questions"),
        (RouteBody, {"questions": ["a"] * 257}, "questions"),
        (FeedbackBody, {"question": "a", "expert": "b", "score": 1.1}, "score"),
        (FeedbackBody, {"question": "a", "expert": "b", "score": float("nan")}, "score"),
        (EmbeddingsBody, {"model": "m", "input": ["a"] * 2049}, "input"),
        (JobBody, {"pipeline": "run", "requests": {}}, "requests"),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_named(body: type[BaseModel], given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        body.model_validate(given)
    named = {str(one["loc"][0]) if one["loc"] else one["msg"].split(": ")[0] for one in caught.value.errors()}
    assert {name.removeprefix("Value error, ") for name in named} == {field}


def test_what_is_within_bounds_is_taken() -> None:
    assert RouteBody(questions=["a"] * 256).questions[255] == "a"
    assert FeedbackBody(question="a", expert="b", score=0.5).skills == []
