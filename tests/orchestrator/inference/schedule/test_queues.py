"""What the scheduler knows of requests, queues and workers."""

from __future__ import annotations

from math import inf

import pytest

from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.schedule.queues import ExpertQueue, QueuedRequest, WorkerKind, WorkerState


def queue(name: str, kind: WorkerKind, count: int, shape: str = "s") -> tuple[ExpertQueue, list[QueuedRequest]]:
    made = ExpertQueue(name, kind, shape)
    entries = [QueuedRequest(Request(f"{name}{n}", name, (), Sampling()), float(n), made) for n in range(count)]
    made.put(entries)
    return made, entries


def test_the_oldest_are_taken_first_and_withdrawn_ones_never() -> None:
    kind = WorkerKind()
    waiting, entries = queue("a", kind, 4)
    worker = WorkerState("w", kind, 8, 0.0)
    waiting.withdraw(entries[1])
    assert (waiting.count, kind.waiting) == (3, 3)
    assert waiting.take(2, worker) == [entries[0], entries[2]]
    assert (entries[0].place, entries[1].place, entries[3].place) == (worker, None, waiting)
    waiting.put_back([entries[0], entries[2]])
    assert [entry.request.key for entry in waiting.take(3, None)] == ["a0", "a2", "a3"]
    assert (waiting.count, kind.waiting, list(kind.waiting_queues)) == (0, 0, [])


def test_callers_are_served_in_turn_and_each_ones_oldest_first() -> None:
    made = ExpertQueue("a", WorkerKind(), "s")
    asked = [("many", n) for n in range(6)] + [("few", n) for n in range(2)] + [("one", 0)]
    entries = {
        (who, n): QueuedRequest(Request(f"{who}{n}", "a", (), Sampling(), caller=who, max_wait=9.0), float(place), made)
        for place, (who, n) in enumerate(asked)
    }
    made.put(list(entries.values()))
    assert [made.ahead_of(who) for who in ("many", "one", "new")] == [9, 5, 3]
    made.withdraw(entries["few", 0])
    assert made.oldest() == 0.0
    first = made.take(4, None)
    assert [entry.request.key for entry in first] == ["many0", "few1", "one0", "many1"]
    made.put_back(first[3:])
    assert [entry.request.key for entry in made.take(5, None)] == ["many1", "many2", "many3", "many4", "many5"]
    assert (made.count, made.lanes) == (0, {})


def test_many_withdrawals_do_not_stay_in_memory() -> None:
    waiting, entries = queue("a", WorkerKind(), 1_000)
    for entry in entries[:999]:
        waiting.withdraw(entry)
    assert sum(map(len, waiting.lanes.values())) < 100


def test_a_callers_chat_does_not_wait_behind_its_own_batch() -> None:
    made = ExpertQueue("a", WorkerKind(), "s")
    made.put([QueuedRequest(Request(f"row{n}", "a", (), Sampling(), caller="ann"), 0.0, made) for n in range(100)])
    chat = QueuedRequest(Request("chat", "a", (), Sampling(), caller="ann", max_wait=30.0), 1.0, made)
    assert made.oldest_chat() == inf
    assert made.ahead_of("ann") == 1
    made.put([chat])
    assert (made.kind.waiting, made.kind.chats, made.oldest_chat()) == (101, 1, 1.0)
    assert chat in made.take(2, None)
    assert (made.kind.waiting, made.kind.chats) == (99, 0)
    made.put_back([chat])
    made.withdraw(chat)
    assert (made.kind.waiting, made.kind.chats) == (99, 0)


def test_the_way_to_a_shape_is_a_swap_a_wake_or_a_start() -> None:
    kind = WorkerKind()
    worker = WorkerState("w", kind, 4, 0.0)
    here, there = queue("a", kind, 1)[0], queue("b", kind, 1, "t")[0]
    assert worker.way_to(here) == "start"
    worker.go(here, 1.0, 20.0)
    assert (worker.way_to(here), worker.way_to(there), worker.arrives, here.capacity) == ("swap", "start", 21.0, 4)
    worker.go(there, 30.0, 20.0)
    assert (worker.way_to(here), here.capacity, kind.shapes) == ("wake", 0, {"s": 0, "t": 1})


def test_the_last_requests_are_shared_by_the_workers_of_a_queue() -> None:
    kind = WorkerKind()
    waiting, _ = queue("a", kind, 6)
    workers = [WorkerState(name, kind, 8, 0.0) for name in "vw"]
    for worker in workers:
        worker.go(waiting, 0.0, 0.0)
        worker.loading = False
    waiting.promised = 0
    assert [worker.share(1.0) for worker in workers] == [3, 3]
    alone, _ = queue("b", kind, 6)
    single = WorkerState("x", kind, 4, 0.0)
    single.go(alone, 0.0, 0.0)
    alone.promised = 0
    assert single.share(1.0) == 4  # what it has room for


def test_seconds_per_request_are_guessed_from_the_kind_until_measured() -> None:
    kind = WorkerKind()
    waiting, _ = queue("a", kind, 10)
    assert waiting.work() == pytest.approx(1.0)
    waiting.rate.learn(1_000.0, 500)
    assert waiting.seconds() == pytest.approx(2.0, rel=0.05)
