"""A virtual clock with workers, engines and callers around whatever decides: the scheduler, or a simple order.

Nothing is generated. An engine has `slots`; a request fills one of them for a time that is drawn for it; during a
swap a worker does nothing else. An event leads to a call of the dispatcher and then to a tick, one request at a time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.inference.request import Request, Sampling
from orchestrator.inference.schedule.scheduler import Assignment, Scheduler

SAMPLING = Sampling(max_tokens=64)
WAIT = 3600.0
"""Seconds; those who ask are chats to the scheduler."""

Conversation = Generator[list[str] | float, None, None]
"""Yields experts to ask at once (it goes on when all have answered), or seconds to wait for something else."""


class Dispatcher(Protocol):
    """What decides: the scheduler, or one of the simple orders it is compared with."""

    def submit(self, queue: str, requests: Iterable[Request], now: float) -> None: ...
    def loaded(self, worker: str, seconds: float, now: float) -> None: ...
    def delivered(self, worker: str, keys: Iterable[str], now: float) -> None: ...
    def tick(self, now: float) -> list[Assignment]: ...
    def next_tick(self, now: float) -> float | None: ...


class InOrder:
    """One line, served in the order of arrival; the head waits until a worker can take it.

    `affinity`: a worker that holds the head's expert takes it at once if it has room; else the least recently used
    worker finishes what it runs and swaps (llama-swap). Without: the next worker with nothing to do takes it, and
    then what follows in the line as long as that is for the same expert.
    """

    def __init__(self, workers: Iterable[str], capacity: int, *, affinity: bool) -> None:
        self.line: deque[tuple[str, Request]] = deque()
        self.running: dict[str, set[str]] = {worker: set() for worker in workers}
        self.resident: dict[str, str | None] = dict.fromkeys(self.running)
        self.holders: dict[str, set[str]] = {}
        self.used = dict.fromkeys(self.running, 0.0)
        self.capacity = capacity
        self.affinity = affinity
        self.victim: str | None = None
        """The worker that must finish before it swaps to the head's expert."""

    def submit(self, queue: str, requests: Iterable[Request], now: float) -> None:
        self.line.extend((queue, request) for request in requests)

    def loaded(self, worker: str, seconds: float, now: float) -> None: ...

    def delivered(self, worker: str, keys: Iterable[str], now: float) -> None:
        self.running[worker].difference_update(keys)

    def next_tick(self, now: float) -> float | None:
        return None

    def tick(self, now: float) -> list[Assignment]:
        orders: list[Assignment] = []
        current: str | None = None
        while self.line:
            queue, request = self.line[0]
            if self.affinity and (at := self._holder(queue)):
                worker, load = at, False
            elif not self.affinity and current and self.resident[current] == queue and self._room(current):
                worker, load = current, False
            else:
                free = self._free()
                if free is None:
                    break
                worker, load = free, self.resident[free] != queue
            self.line.popleft()
            if load:
                if before := self.resident[worker]:
                    self.holders[before].discard(worker)
                self.resident[worker] = queue
                self.holders.setdefault(queue, set()).add(worker)
            current = worker
            self.running[worker].add(request.key)
            self.used[worker] = now
            orders.append(Assignment(worker, queue, [request], load))
        return orders

    def _room(self, worker: str) -> bool:
        return len(self.running[worker]) < self.capacity

    def _holder(self, queue: str) -> str | None:
        holders = [worker for worker in self.holders.get(queue, ()) if self._room(worker) and worker != self.victim]
        return min(holders, key=lambda worker: (len(self.running[worker]), worker), default=None)

    def _free(self) -> str | None:
        if self.affinity:
            if self.victim is None:
                self.victim = min(self.used, key=lambda worker: (self.used[worker], worker))
            if self.running[self.victim]:
                return None
            free, self.victim = self.victim, None
            return free
        idle = [worker for worker in self.running if not self.running[worker]]
        return min(idle, key=lambda worker: (self.used[worker], worker), default=None)


@dataclass
class Outcome:
    """What a simulated run came to. Waits run from submission to the first moment in an engine's slot."""

    requests: int = 0
    experts: int = 0
    swaps: int = 0
    seconds: float = 0.0
    generating: float = 0.0
    waits: list[float] = field(default_factory=list)

    def table(self) -> dict[str, float]:
        waits = sorted(self.waits)
        at = {"p50": 0.5, "p99": 0.99}
        return {
            "requests": self.requests,
            "experts": self.experts,
            "swaps": self.swaps,
            "seconds": round(self.seconds, 1),
            "mean": round(sum(waits) / len(waits), 2),
            **{name: round(waits[int(share * (len(waits) - 1))], 2) for name, share in at.items()},
            "worst": round(waits[-1], 2),
        }


class World:
    """Workers, engines and callers around a dispatcher, on a virtual clock."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        workers: Iterable[str],
        *,
        slots: int,
        lasts: Callable[[Request], float],
        swap: Callable[[str, str], float],
        reaction: float = 0.0005,
        trace: list[tuple[Any, ...]] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.slots = slots
        self.lasts = lasts
        self.swap = swap
        self.reaction = reaction
        """Seconds a caller needs to go on after an answer; callers share one loop, one after another."""
        self.trace = trace
        self.now = 0.0
        self.outcome = Outcome()
        self.loads: list[tuple[float, str, str, float]] = []
        """When, which worker, which queue, and since when its first request had waited."""
        self.running = dict.fromkeys(workers, 0)
        self.line: dict[str, deque[Request]] = {worker: deque() for worker in self.running}
        self.loading: set[str] = set()
        self.submitted: dict[str, float] = {}
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.count = 0
        self.woken: float | None = None
        self.waiting: dict[str, tuple[Conversation, str, set[str]]] = {}
        self.loop_free = 0.0
        self.watching = False
        self.talks = 0
        self.asked = 0

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, action, arguments))

    def run(self, until: float = float("inf")) -> Outcome:
        events, decide = self.events, self._decide
        while events and events[0][0] <= until:
            self.now, _, action, arguments = heapq.heappop(events)
            action(*arguments)
            while events and events[0][0] == self.now:
                _, _, action, arguments = heapq.heappop(events)
                action(*arguments)
            decide()
        self.outcome.seconds = self.now
        return self.outcome

    def ask(self, expert: str, conversation: str | None = None) -> Request:
        self.asked += 1
        user = (("user", "?"),)
        return Request(f"{self.asked:08x}", expert, user, SAMPLING, conversation=conversation, max_wait=WAIT)

    def submit(self, queue: str, requests: list[Request]) -> None:
        now = self.now
        for request in requests:
            self.submitted[request.key] = now
        if self.trace is not None:
            self.trace.append(("submit", queue, requests, now))
        self.dispatcher.submit(queue, requests, now)

    def _decide(self) -> None:
        now = self.now
        orders = self.dispatcher.tick(now)
        if self.trace is not None:
            self.trace.append(("tick", now))
        for order in orders:
            worker = order.worker
            if order.load:
                assert not self.running[worker], "a worker that runs something was told to load"
                cost = self.swap(worker, order.queue)
                self.loads.append((now, worker, order.queue, self.submitted[order.requests[0].key]))
                self.outcome.swaps += 1
                self.loading.add(worker)
                self.at(now + cost, self._loaded, worker, cost)
            self.line[worker].extend(order.requests)
            if worker not in self.loading:
                self._admit(worker)
        when = self.dispatcher.next_tick(now)
        if when is not None and (self.woken is None or when < self.woken or self.woken <= now):
            self.woken = when
            self.at(when, _nothing)

    def _loaded(self, worker: str, cost: float) -> None:
        self.loading.discard(worker)
        if self.trace is not None:
            self.trace.append(("loaded", worker, cost, self.now))
        self.dispatcher.loaded(worker, cost, self.now)
        self._admit(worker)

    def _admit(self, worker: str) -> None:
        line, now = self.line[worker], self.now
        while line and self.running[worker] < self.slots:
            request = line.popleft()
            self.running[worker] += 1
            self.outcome.waits.append(now - self.submitted.pop(request.key))
            lasts = self.lasts(request)
            self.outcome.generating += lasts
            self.at(now + lasts, self._finished, worker, request)

    def _finished(self, worker: str, request: Request) -> None:
        self.running[worker] -= 1
        self.outcome.requests += 1
        if self.trace is not None:
            self.trace.append(("delivered", worker, (request.key,), self.now))
        self.dispatcher.delivered(worker, (request.key,), self.now)
        self._admit(worker)
        talk = self.waiting.pop(request.key, None)
        if talk is not None:
            conversation, name, left = talk
            left.discard(request.key)
            if not left:
                self._soon(conversation, name)

    # Callers: coroutines on one loop, each of which takes `reaction` seconds of it to go on.
    def converse(self, conversation: Conversation) -> None:
        name = f"c{self.talks}"
        self.talks += 1
        if isinstance(self.dispatcher, Scheduler):
            self.dispatcher.open(name)
        self._soon(conversation, name)

    def _soon(self, conversation: Conversation, name: str) -> None:
        self.loop_free = max(self.loop_free, self.now) + self.reaction
        self.at(self.loop_free, self._go_on, conversation, name)
        if not self.watching:
            self._watch()

    def _watch(self) -> None:
        """While the callers' loop is busy, the pool's late timers tell the scheduler so."""
        self.watching = self.now < self.loop_free
        if self.watching:
            if isinstance(self.dispatcher, Scheduler):
                self.dispatcher.activity(self.now)
            self.at(min(self.loop_free, self.now + 0.002), self._watch)

    def _go_on(self, conversation: Conversation, name: str) -> None:
        wish = next(conversation, None)
        if wish is None:
            if isinstance(self.dispatcher, Scheduler):
                self.dispatcher.close(name)
        elif isinstance(wish, float):
            self.at(self.now + wish, self._soon, conversation, name)
        else:
            requests = [self.ask(expert, name) for expert in wish]
            keys = {request.key for request in requests}
            for request in requests:
                self.waiting[request.key] = (conversation, name, keys)
                self.submit(request.expert, [request])


def _nothing() -> None:
    """An event that only lets the dispatcher look at the clock."""
