"""The actor's side of a remote pool: calls of many processes to one pool, and news for each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.errors import CollegiumError, RequestError
from orchestrator.inference import scheduler_calls
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request, Sampling
from orchestrator.inference.scheduler_calls import SchedulerCalls

EXPERT = Expert("a", "f", "s")


class Pool:
    """Answers at once, raises, streams, or waits for ever, as the prompt says."""

    def __init__(self) -> None:
        self.withdrawn = 0

    async def ask(self, calls: Any) -> list[Any]:
        ((request, _),) = calls
        text = request.messages[0][1]
        if text == "wait":
            try:
                await asyncio.Event().wait()
            finally:
                self.withdrawn += 1
        if text == "raise":
            raise ZeroDivisionError("a bug")
        return [RequestError("no") if text == "refuse" else Completion(request.key, text, "stop", 1, 1)]

    async def stream(self, request: Request, expert: Expert) -> Any:
        yield Delta(request.key, "x", 1)
        yield Completion(request.key, "x", "stop", 1, 1)


def request(text: str, stream: bool = False) -> Request:
    return Request(text, "a", (("user", text),), Sampling(), stream=stream)


@pytest.fixture
def calls() -> tuple[SchedulerCalls, Pool]:
    pool = Pool()
    return SchedulerCalls(pool, {"a": EXPERT}), pool  # type: ignore[arg-type]


async def test_each_caller_hears_of_its_own_calls_by_its_own_numbers(calls: Any) -> None:
    taken, _ = calls
    taken.submit("one", [(7, request("x"), "a"), (8, request("refuse"), "a"), (9, request("raise"), "a")])
    taken.submit("two", [(7, request("y"), "a")])
    await asyncio.sleep(0.01)
    first = dict(await taken.news("one"))
    assert first[7].text == "x"
    assert isinstance(first[8], RequestError)
    assert isinstance(first[9], CollegiumError)  # never an exception that the other side cannot read
    assert "ZeroDivisionError: a bug" in str(first[9])
    assert [(number, outcome.text) for number, outcome in await taken.news("two")] == [(7, "y")]


async def test_a_stream_is_passed_on_piece_by_piece(calls: Any) -> None:
    taken, _ = calls
    taken.submit("one", [(1, request("x", stream=True), "a")])
    await asyncio.sleep(0.01)
    assert [type(outcome) for _, outcome in await taken.news("one")] == [Delta, Completion]


async def test_withdrawn_calls_and_those_of_a_silent_process_are_ended(
    calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, pool = calls
    taken.submit("one", [(1, request("wait"), "a"), (2, request("wait"), "a")])
    await asyncio.sleep(0.01)
    taken.withdraw("one", [1])
    await asyncio.sleep(0.01)
    assert pool.withdrawn == 1
    monkeypatch.setattr(scheduler_calls, "SILENCE", 0.05)
    await asyncio.sleep(0.1)
    assert await taken.news("two") == []  # whoever asks sees to the silent
    await asyncio.sleep(0.01)
    assert pool.withdrawn == 2
