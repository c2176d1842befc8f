"""What chats and completions have in common becomes an engine's sampling."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.chats.sampling_body import SamplingBody


def made(**fields: Any) -> SamplingBody:
    return SamplingBody.model_validate({"model": "a", **fields})


def test_each_field_reaches_the_engine() -> None:
    body = made(
        max_tokens=7, temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, presence_penalty=1, frequency_penalty=-1,
        repetition_penalty=1.1, logit_bias={"5": 2, "3": -1}, bad_words=["no"], stop=["x", "x", "y"],
        stop_token_ids=[4], min_tokens=2, ignore_eos=True,
        repetition_detection={"max_pattern_size": 9, "min_count": 3}, response_format={"type": "json_object"},
    )  # fmt: skip
    found = body.sampling(100, 1.0)
    assert (found.max_tokens, found.temperature, found.top_p, found.top_k, found.min_p) == (7, 0.5, 0.9, 3, 0.1)
    assert (found.presence_penalty, found.frequency_penalty, found.repetition_penalty) == (1, -1, 1.1)
    assert found.logit_bias == ((3, -1), (5, 2))
    assert (found.bad_words, found.stop, found.stop_token_ids) == (("no",), ("x", "y"), (4,))
    assert (found.min_tokens, found.ignore_eos, found.repetition) == (2, True, (9, 1, 3))
    assert json.loads(found.structured or "") == {"json": {"type": "object"}}


def test_unsaid_length_and_temperature_are_the_callers_word_and_the_context_is_the_limit() -> None:
    assert made().sampling(100, 0.7).max_tokens == 100
    assert made().sampling(100, 0.7).temperature == 0.7
    assert made(max_tokens=5000).sampling(100, 0.7).max_tokens == 100
    assert made(temperature=0).sampling(100, 0.7).temperature == 0


def test_what_was_left_out_is_named_and_too_much_refused() -> None:
    assert made(user="ann", metadata={"a": "b"}).ignored == ("metadata", "user")
    assert made(stream=True, stream_options={"include_usage": True}).include_usage
    big = {"type": "json_schema", "json_schema": {"schema": {"description": "x" * 200_001}}}
    for fields in ({"stop": ["a"] * 65}, {"response_format": big}, {"nonsense": 1}):
        with pytest.raises(ValidationError):
            made(**fields)


@pytest.mark.parametrize("wanted", [{"max_pattern_size": 4}, {"max_pattern_size": 4, "min_count": 1}, {"min_count": 2},
    {"max_pattern_size": 4, "min_pattern_size": 5, "min_count": 2}, [4, 1, 2]], ids=str)  # fmt: skip
def test_a_repetition_is_whole_or_refused(wanted: Any) -> None:
    with pytest.raises(ValidationError, match="repetition_detection"):
        made(repetition_detection=wanted)
    assert made(repetition_detection={}).sampling(9, 0).repetition is None
