"""A server's events as deltas of one reply: nothing that it sends is trusted to be of its type."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ContentFiltered, Unreachable, UpstreamError
from orchestrator.inference.engines.openai_reply import ReplyReader
from orchestrator.inference.engines.tools import parse_calls
from orchestrator.inference.request import Delta


def event(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


def read(*events: dict[str, Any], reader: ReplyReader | None = None) -> tuple[list[Delta], Delta]:
    reader = reader or ReplyReader("k")
    deltas = [delta for one in events if (delta := reader.take(one)) is not None]
    return deltas, reader.end()


def test_pieces_join_and_the_servers_own_count_is_what_is_paid_for() -> None:
    usage: dict[str, Any] = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    deltas, last = read(event(content="he"), event(content="llo"), event("stop"), {"choices": [], "usage": usage})
    assert "".join(delta.text for delta in deltas) == "hello"
    assert sum(delta.tokens for delta in deltas) + last.tokens == 5
    assert (last.finish_reason, last.prompt_tokens) == ("stop", 9)
    assert last.usage is not None
    assert last.usage.cached_tokens == 4


def test_reasoning_is_kept_apart_and_alone_is_no_reply() -> None:
    deltas, _ = read(event(reasoning_content="hm"), event("stop", content="5"))
    assert [(delta.text, delta.reasoning) for delta in deltas] == [("", "hm"), ("5", "")]
    with pytest.raises(UpstreamError, match="holds reasoning and no answer"):
        read(event(reasoning="hm"), event("stop"))


def test_calls_of_tools_come_last_in_pieces_with_or_without_numbers() -> None:
    parts = [
        event(tool_calls=[{"index": 0, "id": "1", "function": {"name": "rain", "arguments": '{"city"'}}]),
        event(tool_calls=[{"index": 0, "function": {"arguments": ': "Ulm"}'}}]),
        event(tool_calls=[{"id": "2", "function": {"name": "time", "arguments": {}}}]),
        event("tool_calls"),
    ]
    _, last = read(*parts)
    calls = parse_calls(last.text, ["rain", "time"])[1]
    assert [(call.name, call.arguments) for call in calls] == [("rain", '{"city": "Ulm"}'), ("time", "{}")]
    with pytest.raises(UpstreamError, match="a call of the tool 'rain' was cut"):
        read(parts[0], event("stop"))


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        ([event(content="he")], Unreachable, "broke off"),
        ([event("stop")], UpstreamError, "the reply is empty"),
        ([event("content_filter")], ContentFiltered, "withholds"),
        ([event("error")], UpstreamError, "ended the reply with an error"),
        ([event(content="x"), {"choices": [{"logprobs": {"content": [{"token": 1}]}}]}], UpstreamError, "logprobs"),
    ],
)
def test_a_reply_that_says_nothing_or_breaks_off_is_an_error(events: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        read(*events)


def test_a_choice_is_held_back_until_it_is_one() -> None:
    deltas, last = read(event(content="re"), event("stop", content="d"), reader=ReplyReader("k", ["red", "blue"]))
    assert (deltas, last.text) == ([], "red")
    with pytest.raises(UpstreamError, match="none of the choices"):
        read(event("stop", content="green"), reader=ReplyReader("k", ["red"]))


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"choices": "x"},
        {"choices": [None]},
        {"choices": [{"delta": 7}]},
        event(content=7),
        event(tool_calls={"a": 1}),
        event(tool_calls=[3]),
        {"usage": {"prompt_tokens": -1, "completion_tokens": True, "cost": "dear"}},
    ],
)
def test_strange_events_change_nothing(strange: dict[str, Any]) -> None:
    _, last = read(strange, event("stop", content="ok"))
    assert (last.finish_reason, last.prompt_tokens, last.usage) == ("stop", 0, None)
