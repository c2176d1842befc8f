"""A worker: one engine on a thread of its own; orders in, events out, and every way to end is told."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from orchestrator.errors import ExpertError
from orchestrator.inference.engines.engine import FreshProcess
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Request, Sampling
from orchestrator.inference.schedule.messages import (
    Abort,
    Add,
    Broken,
    Loaded,
    LoadFailed,
    Ready,
    Stepped,
    Stop,
    Switch,
    WorkerEvent,
)
from orchestrator.inference.schedule.worker import Worker

EXPERT = Expert("a", "f", "s")


class Desk:
    """A worker and what it has said."""

    def __init__(self, make_engine: Any) -> None:
        self.said: queue.SimpleQueue[list[WorkerEvent]] = queue.SimpleQueue()
        self.worker = Worker(make_engine, self.said.put)

    def next(self) -> WorkerEvent:
        (event,) = self.said.get(timeout=20)
        return event


def request(key: str, stream: bool = False) -> Request:
    return Request(key, "a", (("user", f"{key} x y"),), Sampling(), stream=stream)


def engine(load: Exception | None = None, **options: Any) -> Any:
    class Engine(ScriptedEngine):
        def load(self, expert: Expert) -> Any:
            if load is not None:
                raise load
            return super().load(expert)

    return lambda: Engine(ScriptedOptions(**options), lambda messages, seed: messages[-1][1])


def test_it_loads_answers_and_ends() -> None:
    desk = Desk(engine(capacity=5))
    assert desk.next() == Ready(5)
    desk.worker.order([Switch(EXPERT), Add(((request("k"), EXPERT), (request("s", stream=True), EXPERT)))])
    assert isinstance(desk.next(), Loaded)
    completions: list[Completion] = []
    pieces: list[str] = []
    while len(completions) < 2:
        event = desk.next()
        assert isinstance(event, Stepped)
        completions += event.completions
        pieces += [delta.text for delta in event.deltas]
        assert {delta.key for delta in event.deltas} <= {"s"}
    assert {one.key: one.text for one in completions} == {"k": "k x y", "s": "s x y"}
    assert "".join(pieces) == "s x y"
    desk.worker.order([Stop()])
    desk.worker.join(20)
    assert not desk.worker._thread.is_alive()


def test_an_aborted_request_is_silent() -> None:
    desk = Desk(engine())
    desk.next()
    desk.worker.order([Switch(EXPERT), Add(((request("gone"), EXPERT), (request("k"), EXPERT))), Abort(("gone",))])
    desk.next()
    event = desk.next()
    assert isinstance(event, Stepped)
    assert [one.key for one in event.completions] == ["k"]
    desk.worker.order([Stop()])


@pytest.mark.parametrize(
    ("error", "error_kept", "fresh", "broken"),
    [
        (ExpertError("bad file"), True, False, False),
        (FreshProcess("another shape"), False, True, False),
        (ZeroDivisionError("bug"), False, False, True),
    ],
)
def test_each_way_that_a_load_fails_is_told(error: Exception, error_kept: bool, fresh: bool, broken: bool) -> None:
    desk = Desk(engine(load=error))
    desk.next()
    desk.worker.order([Switch(EXPERT)])
    failed = desk.next()
    assert isinstance(failed, LoadFailed)
    assert (failed.error is not None, failed.fresh, failed.broken) == (error_kept, fresh, broken)
    assert str(error) in failed.message
    desk.worker.order([Stop()])
    desk.worker.join(20)
    assert not desk.worker._thread.is_alive()


def test_an_engine_that_cannot_start_or_breaks_is_told_with_its_place() -> None:
    def broken() -> Any:
        raise SystemExit("no device")

    event = Desk(broken).next()
    assert isinstance(event, Broken)
    assert event.message.startswith("SystemExit: no device (test_worker.py:")


def test_thoughts_are_apart_and_counted_in_streams_and_completions_of_every_engine() -> None:
    replies = {"k": "<think>one two three</think>Answer: 4", "s": "<think>never closed Answer: 5"}
    desk = Desk(
        lambda: ScriptedEngine(ScriptedOptions(capacity=5), lambda messages, seed: replies[messages[-1][1].split()[0]])
    )
    desk.next()
    desk.worker.order([Switch(EXPERT), Add(((request("k"), EXPERT), (request("s", stream=True), EXPERT)))])
    assert isinstance(desk.next(), Loaded)
    completions: dict[str, Completion] = {}
    said, thought = "", ""
    while len(completions) < 2:
        event = desk.next()
        assert isinstance(event, Stepped)
        completions |= {one.key: one for one in event.completions}
        said += "".join(delta.text for delta in event.deltas)
        thought += "".join(delta.reasoning for delta in event.deltas)
    assert (completions["k"].text, completions["k"].reasoning) == ("Answer: 4", "one two three")
    assert (completions["s"].text, completions["s"].reasoning) == ("", "never closed Answer: 5")
    assert (said, thought) == ("", "never closed Answer: 5")
    usage = completions["k"].usage
    assert usage is not None
    assert 0 < usage.reasoning_tokens < completions["k"].completion_tokens
    desk.worker.order([Stop()])
    desk.worker.join(20)
