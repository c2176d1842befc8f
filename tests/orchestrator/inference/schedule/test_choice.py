"""Where an idle worker goes: the most work and age per second of switching, and never for nothing."""

from __future__ import annotations

from math import inf

from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.schedule.choice import choose, next_for, wait
from orchestrator.inference.schedule.measures import SwitchCosts
from orchestrator.inference.schedule.queues import ExpertQueue, QueuedRequest, WorkerKind, WorkerState

COSTS = SwitchCosts(swap=1.0, start=20.0)


def queue(name: str, kind: WorkerKind, count: int, shape: str = "s", since: float = 0.0) -> ExpertQueue:
    made = ExpertQueue(name, kind, shape)
    made.put([QueuedRequest(Request(f"{name}{n}", name, (), Sampling()), since, made) for n in range(count)])
    return made


def worker(name: str, kind: WorkerKind, shape: str | None = "s") -> WorkerState:
    made = WorkerState(name, kind, 8, 0.0)
    made.hold(shape)
    kind.workers[made] = None
    kind.idle[made] = None
    return made


def test_more_work_wins_and_age_makes_up_for_little() -> None:
    kind = WorkerKind()
    free = worker("w", kind)
    few, many = queue("few", kind, 1, since=0.0), queue("many", kind, 100, since=0.0)
    assert choose(kind, [free], COSTS, 0.0) == (free, many)
    old = queue("old", kind, 1, since=-100.0)
    assert choose(kind, [free], COSTS, 0.0) == (free, old)
    assert next_for(free, COSTS, 0.0) is old
    old.reader = worker("another", kind)
    assert next_for(free, COSTS, 0.0) is many
    assert few.count == 1


def test_a_cheap_switch_is_preferred_to_a_dear_one() -> None:
    kind = WorkerKind()
    free = worker("w", kind)
    near = queue("near", kind, 10)
    queue("far", kind, 20, shape="t")
    assert choose(kind, [free], COSTS, 0.0) == (free, near)


def test_a_shape_is_not_given_up_while_another_worker_could_swap() -> None:
    kind = WorkerKind()
    far, _ = worker("far", kind, "t"), worker("near", kind, "s")
    wanted = queue("a", kind, 1)
    assert choose(kind, [far], COSTS, 0.0) is None
    assert 19 < kind.next_move_at < 20  # when age alone will pay for it
    assert choose(kind, [far], COSTS, 30.0) == (far, wanted)


def test_a_queue_that_is_served_gets_a_second_worker_only_if_that_pays() -> None:
    kind = WorkerKind()
    serving, free = worker("v", kind), worker("w", kind)
    served = queue("a", kind, 5)
    served.workers[serving] = None
    serving.queue = served
    assert choose(kind, [free], COSTS, 0.0) is None  # half a second of work, one of switching
    assert served.min_to_move > 5
    served.put([QueuedRequest(Request(f"b{n}", "a", (), Sampling()), 0.0, served) for n in range(50)])
    assert choose(kind, [free], COSTS, 0.0) == (free, served)


def test_the_wait_is_what_stands_before_a_request() -> None:
    kind = WorkerKind()
    alone = queue("a", kind, 0)
    assert wait(alone, COSTS, 0.5, None, 0.0) == inf  # nobody could serve it
    free = worker("w", kind)
    assert wait(alone, COSTS, 0.5, None, 0.0) == 1.5
    free.go(alone, 0.0, 3.0)
    assert wait(alone, COSTS, 0.5, None, 1.0) == 2.0


def test_a_chat_waits_for_batch_work_elsewhere_only_until_its_turn_is_over() -> None:
    kind = WorkerKind()
    alone = queue("a", kind, 0)
    worker("w", kind).go(queue("b", kind, 1000), 0.0, 0.0)
    kind.idle.clear()
    assert wait(alone, COSTS, 0.5, None, 0.0) > 100
    assert wait(alone, COSTS, 0.5, 5.0, 0.0) == 0.5 + 5.0 + 1.0
    alone.put([_chat("a", place=alone, n=n) for n in range(3)])
    assert (kind.waiting, kind.chats) == (1003, 3)
    assert 7.5 < wait(queue("c", kind, 0), COSTS, 0.5, 5.0, 0.0) < 10


def _chat(name: str, place: ExpertQueue, n: int = 0, since: float = 0.0) -> QueuedRequest:
    return QueuedRequest(Request(f"chat{n}", name, (), Sampling(), max_wait=30.0), since, place)


def test_a_worker_that_leaves_batch_work_goes_to_a_chat_or_stays() -> None:
    kind = WorkerKind()
    free = worker("w", kind)
    own, much = queue("own", kind, 10), queue("much", kind, 1000)
    free.go(own, 0.0, 0.0)
    free.leaving = "chat"
    assert choose(kind, [free], COSTS, 0.0) is None
    asked = queue("asked", kind, 0)
    asked.put([_chat("asked", asked)])
    assert choose(kind, [free], COSTS, 0.0) == (free, asked)
    free.leaving = "work"
    assert choose(kind, [free], COSTS, 0.0) == (free, much)
