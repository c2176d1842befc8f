"""A request as the body of a chat completion, as one expert's server takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.inference.engines.openai_body import body, choices_of, chosen
from orchestrator.inference.engines.schema import StructuredError
from orchestrator.inference.expert import RemoteModel
from orchestrator.inference.request import Request, Sampling

KEY = "0000000a" + "0" * 56


def made(remote: dict[str, Any] | None = None, context: int = 100, **sampling: Any) -> dict[str, Any]:
    request = Request(KEY, "far", (("user", "hi"),), Sampling(**{"max_tokens": 8, **sampling}))
    return body(RemoteModel("http://x", "m", **(remote or {})), context, request)


def test_a_plain_body_streams_with_its_usage_and_draws_only_where_it_is_warm() -> None:
    plain = made()
    assert plain["messages"] == [{"role": "user", "content": "hi"}]
    assert (plain["model"], plain["stream"], plain["stream_options"]) == ("m", True, {"include_usage": True})
    assert "seed" not in plain
    assert made(temperature=0.5)["seed"] == 10


def test_a_reply_as_long_as_the_context_has_no_limit_of_its_own() -> None:
    assert made()["max_tokens"] == 8
    assert "max_tokens" not in made(max_tokens=100)
    assert made({"max_completion_tokens": True})["max_completion_tokens"] == 8


def test_what_a_server_does_not_take_is_left_out_and_what_it_wants_is_added() -> None:
    found = made({"leave_out": ("temperature", "stream"), "extra_body": {"top_p": 0.9, "x": 1}})
    assert not {"temperature", "stream", "stream_options"} & set(found)
    assert (found["top_p"], found["x"]) == (0.9, 1)


def test_a_choice_travels_as_a_schema_and_an_expression_cannot() -> None:
    structured = json.dumps({"choice": ["red", "blue"]})
    schema = made(structured=structured)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["choice"]["enum"] == ["red", "blue"]
    assert choices_of(Sampling(structured=structured)) == ["red", "blue"]
    assert choices_of(Sampling()) is None
    with pytest.raises(StructuredError, match="no regular expressions"):
        made(structured=json.dumps({"regex": "a+"}))
    with pytest.raises(StructuredError, match="no grammars"):
        made(structured=json.dumps({"grammar": "root ::= [a]"}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"choice": "red"}', "red"),
        (" red ", "red"),
        ('"red"', "red"),
        ("green", None),
        ('{"choice": 1}', None),
        ("[" * 99_999, None),
    ],
)
def test_a_choice_is_read_from_json_or_bare(text: str, found: str | None) -> None:
    assert chosen(text, ["red", "blue"]) == found
