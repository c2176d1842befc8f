"""Whatever happens in whatever order: nothing is lost, doubled, starved, or put where it cannot run."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.schedule.scheduler import Assignment, Policy, Scheduler


def pending(scheduler: Scheduler) -> int:
    """Requests waiting or running."""
    return scheduler.pending


LOAD = 0.5
POLICY = Policy(quiet=0.005, swap_cost=LOAD, start_cost=LOAD)
CAP = max(POLICY.quiet, POLICY.patience, LOAD)
QUEUES = {f"q{i}": ("gpu" if i < 4 else "remote", f"s{i % 2}") for i in range(6)}
CONVERSATIONS = ("one", "two", "three")
SOON = st.sampled_from([0.0, 0.0, 0.001, 0.004, 0.006, 0.3, 0.7, 30.0])


class ModelWorker:
    """What the test knows of a worker."""

    def __init__(self, kind: str, capacity: int, now: float) -> None:
        self.kind, self.capacity, self.free_since = kind, capacity, now
        self.queue: str | None = None
        self.loading = False
        self.running: dict[str, str] = {}

    @property
    def free(self) -> bool:
        return not self.running and not self.loading


class SchedulerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(POLICY)
        self.now = 0.0
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.orders: list[Assignment] = []
        self.waiting: dict[str, list[Request]] = {queue: [] for queue in QUEUES}
        self.unserved: dict[str, float] = {}
        self.workers: dict[str, ModelWorker] = {}
        self.given_up: set[str] = set()
        self.count = 0

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Every call is recorded, and followed by a tick as the pool does."""
        self.calls.append((name, args, named))
        return getattr(self.scheduler, name)(*args, **named)

    def settle(self) -> None:
        orders = self.call("tick", self.now)
        self.orders += orders
        for order in orders:
            self.obey(order)
        for queue, requests in self.waiting.items():
            served = any(worker.queue == queue for worker in self.workers.values())
            if requests and not served:
                self.unserved.setdefault(queue, self.now)
            else:
                self.unserved.pop(queue, None)

    def obey(self, order: Assignment) -> None:
        worker, queue = self.workers[order.worker], order.queue
        assert QUEUES[queue][0] == worker.kind, "a queue was given to a worker of another kind"
        assert order.requests
        if order.load:
            assert worker.free, "a busy worker was told to load"
            assert queue != worker.queue, "what is resident was loaded again"
            assert worker.queue is None or not self.waiting[worker.queue], "an expert was left that has work"
            worker.queue, worker.loading = queue, True
        else:
            assert worker.queue == queue, "work without its expert"
            assert not worker.loading, "more work before the expert is there"
        taken = self.waiting[queue][: len(order.requests)]
        assert taken == order.requests, "not the oldest, not in order, twice, or never submitted"
        del self.waiting[queue][: len(taken)]
        worker.running |= {request.key: queue for request in taken}
        self.remember(taken)
        assert len(worker.running) <= worker.capacity

    def remember(self, taken: list[Request]) -> None:
        self.requests.update((request.key, request) for request in taken)

    def forget(self, name: str, keys: list[str]) -> None:
        worker = self.workers[name]
        for key in keys:
            del worker.running[key]
            self.given_up.discard(key)
        if worker.free:
            worker.free_since = self.now

    @initialize(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3))
    def begin(self, sizes: list[int]) -> None:
        self.requests: dict[str, Request] = {}
        for queue, (kind, shape) in QUEUES.items():
            self.call("declare", queue, kind=kind, shape=shape)
        for size in sizes:
            self.join("gpu", size)

    @rule(kind=st.sampled_from(["gpu", "remote"]), size=st.integers(1, 5))
    def join(self, kind: str, size: int) -> None:
        self.count += 1
        name = f"w{self.count}"
        self.workers[name] = ModelWorker(kind, size, self.now)
        self.call("join", name, kind=kind, capacity=size, now=self.now)
        self.settle()

    @rule(
        queue=st.sampled_from(sorted(QUEUES)),
        size=st.sampled_from([1, 1, 2, 3, 40]),
        who=st.sampled_from([None, *CONVERSATIONS]),
    )
    def submit(self, queue: str, size: int, who: str | None) -> None:
        batch = []
        for _ in range(size):
            self.count += 1
            batch.append(Request(f"{self.count:08x}", queue, (("user", "?"),), Sampling(), conversation=who))
        self.waiting[queue] += batch
        self.call("submit", queue, batch, self.now)
        self.settle()

    @rule(seconds=SOON, busy=st.booleans())
    def wait(self, seconds: float, busy: bool) -> None:
        """Time passes; the scheduler is called when it asked to be, and callers may be busy all along."""
        target, wakes = self.now + seconds, 0
        while True:
            wanted = self.scheduler.next_tick(self.now)
            step = min(target, self.now + 0.2) if busy else target
            self.now = step if wanted is None else min(step, wanted)
            wakes += 1
            assert wakes < 300, "it asks to be called again and again and does nothing"
            if busy:
                self.call("activity", self.now)
            self.settle()
            self.no_one_waits_past_the_cap()
            if self.now >= target and (wanted is None or wanted > target):
                break

    @precondition(lambda self: any(worker.loading for worker in self.workers.values()))
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, worker in self.workers.items() if worker.loading]))
        self.wait(LOAD, False)
        worker = self.workers[name]
        worker.loading = False
        if worker.free:
            worker.free_since = self.now
        self.call("loaded", name, LOAD, self.now)
        self.settle()

    @precondition(lambda self: any(worker.running and not worker.loading for worker in self.workers.values()))
    @rule(data=st.data(), all_of_it=st.booleans())
    def deliver(self, data: st.DataObject, all_of_it: bool) -> None:
        busy = [name for name, worker in self.workers.items() if worker.running and not worker.loading]
        name = data.draw(st.sampled_from(busy))
        running = list(self.workers[name].running)
        keys = running if all_of_it else data.draw(st.lists(st.sampled_from(running), unique=True, min_size=1))
        self.forget(name, keys)
        self.call("delivered", name, [*keys, "unheard of"], self.now)
        self.settle()

    @precondition(lambda self: len(self.workers) > 0)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers.pop(name)
        back = [self.requests[key] for key in worker.running if key not in self.given_up]
        self.given_up -= set(worker.running)
        assert self.call("lost", name, self.now) == back
        for request in reversed(back):
            self.waiting[worker.running[request.key]].insert(0, request)
        self.call("delivered", name, list(worker.running), self.now)
        self.settle()

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        waiting = {request.key: queue for queue, requests in self.waiting.items() for request in requests}
        running = {key: name for name, worker in self.workers.items() for key in worker.running}
        if not waiting and not running:
            return
        for key in data.draw(st.lists(st.sampled_from(sorted({**waiting, **running})), unique=True, max_size=30)):
            where = self.call("withdraw", key, self.now)
            if key in running:
                assert where == running[key]
                self.given_up.add(key)
                if data.draw(st.booleans(), label="aborted at once"):
                    self.forget(running[key], [key])
                    self.call("delivered", running[key], [key], self.now)
            else:
                assert where is None
                queue = waiting[key]
                self.waiting[queue] = [request for request in self.waiting[queue] if request.key != key]
        self.settle()

    @rule(queue=st.sampled_from(sorted(QUEUES)))
    def drop(self, queue: str) -> None:
        assert self.call("drop", queue) == self.waiting[queue]
        self.waiting[queue] = []
        for worker in self.workers.values():
            if worker.queue == queue and worker.loading:
                worker.queue, worker.loading, worker.free_since = None, False, self.now
        self.settle()

    @rule(who=st.sampled_from(CONVERSATIONS), opens=st.booleans())
    def talk(self, who: str, opens: bool) -> None:
        self.call("open" if opens else "close", who)
        self.settle()

    @invariant()
    def the_books_agree(self) -> None:
        waiting = sum(map(len, self.waiting.values()))
        assert pending(self.scheduler) == waiting + sum(len(worker.running) for worker in self.workers.values())

    @invariant()
    def no_one_idles_beside_its_own_work(self) -> None:
        for worker in self.workers.values():
            if worker.queue and not worker.loading and self.waiting[worker.queue]:
                assert worker.running
                if [other.queue for other in self.workers.values()].count(worker.queue) == 1:
                    assert len(worker.running) == worker.capacity

    def no_one_waits_past_the_cap(self) -> None:
        for queue, since in self.unserved.items():
            for worker in self.workers.values():
                if worker.free and worker.kind == QUEUES[queue][0]:
                    assert self.now - max(since, worker.free_since) < CAP + 1e-9

    def teardown(self) -> None:
        """All that is left gets done, and the same calls lead to the same orders."""
        for kind in ("gpu", "remote"):
            self.join(kind, 2)
        for _ in range(1000):
            if not pending(self.scheduler):
                break
            self.wait(LOAD, False)
            for name, worker in self.workers.items():
                if worker.loading:
                    worker.loading = False
                    self.call("loaded", name, LOAD, self.now)
                keys = list(worker.running)
                self.forget(name, keys)
                self.call("delivered", name, keys, self.now)
                self.settle()
        assert pending(self.scheduler) == 0
        again = Scheduler(POLICY)
        orders: list[Assignment] = []
        for name, args, named in self.calls:
            result = getattr(again, name)(*args, **named)
            if name == "tick":
                orders += result
        assert orders == self.orders


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
