"""The remote engine against servers that are slow, busy, broken or hostile."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from orchestrator.errors import ExpertError, ExpertUnavailable, PromptTooLong, UpstreamError, UpstreamTimeout
from orchestrator.inference.engines.openai_stream import OpenAIStream, RemoteOptions
from orchestrator.inference.engines.remote import RemoteEngine
from orchestrator.inference.engines.tools import ParsedCall, parse_calls
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.tool_history import ToolHistory
from tests.scripts.upstream_streams import EXPERT, finish, only, request

KEY = "sk-very-secret-0123456789"

Serve = Callable[[httpx.Request], httpx.Response]


def event(text: str = "", finish: str | None = None) -> str:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, 'finish_reason': finish}]})}\n\n"


def reply(text: str = "hello") -> httpx.Response:
    return httpx.Response(200, text=event(text) + event(finish="stop") + "data: [DONE]\n\n")


@pytest.fixture
def engine_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RemoteEngine]]:
    monkeypatch.setenv("FAR_KEY", KEY)
    made: list[RemoteEngine] = []

    def make(serve: Any, expert: Expert = EXPERT, **options: Any) -> RemoteEngine:
        engine = RemoteEngine(RemoteOptions(transport=httpx.MockTransport(serve), first_wait=0.001, **options))
        engine.load(expert)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()
        engine.close()


def test_a_busy_server_is_asked_again_when_it_says(engine_for: Any) -> None:
    seen: list[float] = []

    def serve(_: httpx.Request) -> httpx.Response:
        seen.append(time.monotonic())
        if len(seen) == 1:
            return httpx.Response(429, headers={"Retry-After": "0.2"}, json={"error": {"message": "slow down"}})
        return httpx.Response(503) if len(seen) == 2 else reply()

    assert "".join(delta.text for delta in only(engine_for(serve), request())) == "hello"
    assert len(seen) == 3
    assert seen[1] - seen[0] >= 0.2


def test_it_gives_up_in_the_end_and_says_why(engine_for: Any) -> None:
    calls: list[int] = []

    def serve(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(500, json={"error": {"message": "on fire"}})

    (delta,) = only(engine_for(serve, tries=3), request())
    assert isinstance(delta.error, UpstreamError)
    assert str(delta.error) == "expert 'far': http://server/v1/chat/completions: HTTP 500: on fire"
    assert delta.error.upstream_status == 500
    assert len(calls) == 3


def test_what_is_the_requests_fault_is_not_asked_again(engine_for: Any) -> None:
    calls: list[int] = []

    def serve(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        error = {"message": "too much", "code": "context_length_exceeded"}
        return httpx.Response(400, json={"error": error})

    (delta,) = only(engine_for(serve), request())
    assert isinstance(delta.error, PromptTooLong)
    assert "http" not in (delta.error.words or "")
    assert len(calls) == 1


def test_the_key_is_sent_and_never_told(engine_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def serve(asked: httpx.Request) -> httpx.Response:
        sent.append(asked.headers["Authorization"])
        return httpx.Response(401, json={"error": {"message": f"bad key {KEY}"}})

    engine = engine_for(serve)
    (delta,) = only(engine, request())
    assert sent == [f"Bearer {KEY}"]
    assert delta.error is not None
    assert "bad key ***" in str(delta.error)
    stream = OpenAIStream(EXPERT.remote or RemoteModel("", ""), 2048, RemoteOptions())
    for text in (repr(engine), repr(stream), str(stream.failure(RuntimeError(KEY))), repr(vars(engine)), repr(delta)):
        assert KEY not in text
    monkeypatch.delenv("FAR_KEY")
    keyless = RemoteEngine()
    with pytest.raises(ExpertUnavailable, match="environment variable FAR_KEY"):
        keyless.load(EXPERT)
    keyless.close()


def test_no_more_run_at_once_than_the_expert_allows(engine_for: Any) -> None:
    now, most = [0], [0]

    async def body() -> AsyncIterator[bytes]:
        import asyncio

        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.01)
        now[0] -= 1
        yield (event("x") + event(finish="stop") + "data: [DONE]\n\n").encode()

    engine = engine_for(lambda _: httpx.Response(200, content=body()))
    deltas = finish(engine, *(request(f"question {number}") for number in range(9)))
    assert all(got[-1].finish_reason == "stop" for got in deltas.values())
    assert most[0] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {nope\n\n", "no JSON"),
        ("data: [1]\n\n", "no JSON object"),
        ('data: {"error": {"message": "lost it"}}\n\n', "lost it"),
        (event("half"), "broke off"),
        (event("", "content_filter"), "withholds the reply"),
        (event(finish="stop"), "is empty"),
        (event("x", "error"), "with an error"),
        ("data: " + "x" * 5000, "larger than 1000 bytes"),
        ("", "broke off"),
    ],
)
def test_a_reply_that_makes_no_sense_is_an_error_and_no_more(engine_for: Any, text: str, message: str) -> None:
    good = request("good")

    def serve(asked: httpx.Request) -> httpx.Response:
        return reply() if b"good" in asked.content else httpx.Response(200, text=text)

    bad = request("bad")
    deltas = finish(engine_for(serve, max_reply_bytes=1000), good, bad)
    assert deltas[bad.key][-1].error is not None
    assert message in str(deltas[bad.key][-1].error)
    assert deltas[good.key][-1].finish_reason == "stop"


def test_a_reply_that_has_begun_is_not_asked_for_again(engine_for: Any) -> None:
    calls: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        yield event("half").encode()
        raise httpx.ReadError("gone")

    def serve(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        return httpx.Response(200, content=body())

    deltas = only(engine_for(serve), request())
    assert [delta.text for delta in deltas] == ["half", ""]
    assert deltas[-1].error is not None
    assert len(calls) == 1


def test_silence_ends_in_an_error(engine_for: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        import asyncio

        await asyncio.sleep(30)
        yield b""

    engine = engine_for(lambda _: httpx.Response(200, content=body()), total_seconds=0.05)
    (delta,) = only(engine, request())
    assert isinstance(delta.error, UpstreamTimeout)
    assert "no reply within 0.05 s" in str(delta.error)


def test_the_body_says_what_was_asked(engine_for: Any) -> None:
    bodies: list[dict[str, Any]] = []

    def serve(asked: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(asked.content))
        return reply('{"choice": "yes"}')

    engine = engine_for(serve)
    asked = request(temperature=0.5, stop=("END",), logprobs=4, structured='{"choice": ["yes", "no"]}')
    assert "".join(delta.text for delta in only(engine, asked)) == "yes"
    (body,) = bodies
    assert (body["temperature"], body["stop"], body["max_tokens"], body["top_logprobs"]) == (0.5, ["END"], 8, 4)
    assert body["seed"] == asked.seed
    assert body["response_format"]["json_schema"]["schema"]["properties"]["choice"]["enum"] == ["yes", "no"]


def test_a_reply_that_is_none_of_the_choices_is_an_error(engine_for: Any) -> None:
    deltas = only(engine_for(lambda _: reply("maybe")), request(structured='{"choice": ["yes", "no"]}'))
    assert [delta.error is not None for delta in deltas] == [True]


@pytest.mark.parametrize("url", ["ftp://server", "langchain:nowhere.at_all:model", "langchain:json:nothing", "server"])
def test_a_url_that_leads_nowhere_is_refused_by_name(url: str) -> None:
    engine = RemoteEngine()
    with pytest.raises(ExpertError, match="expert 'lost'"):
        engine.load(Expert("lost", "lost", "lost", remote=RemoteModel(url, "model")))
    engine.close()


def test_tools_are_passed_on_and_calls_come_back_as_text(engine_for: Callable[..., RemoteEngine]) -> None:
    definition = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    called = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    tools = ToolHistory([definition], "required", False, {0: {"tool_calls": [called]}})
    bodies: list[dict[str, Any]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        parts: list[dict[str, Any]] = [
            {"content": "I look. "},
            {"tool_calls": [{"index": 0, "id": "c2", "function": {"name": "weather", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ' "Ulm"}'}}]},
        ]
        told = [{"choices": [{"delta": part, "finish_reason": None}]} for part in parts]
        told.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        return httpx.Response(200, text="".join(f"data: {json.dumps(one)}\n\n" for one in told) + "data: [DONE]\n\n")

    asked = request(tools=tools)
    (deltas,) = finish(engine_for(serve), asked).values()
    text = "".join(delta.text for delta in deltas)
    assert parse_calls(text, {"weather"}) == ("I look.", [ParsedCall("weather", '{"city": "Ulm"}')])
    assert deltas[-1].finish_reason == "stop"
    (body,) = bodies
    assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == ([definition], "required", False)
    assert body["messages"] == [{"role": "user", "content": "hi", "tool_calls": [called]}]
