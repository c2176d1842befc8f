"""Who waits for which request. Identical requests share one generation; results are handed to each loop in
one call for all its waiters."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request

Outcome = Completion | Exception


class Waiter:
    """One caller's claim on one request's completion. The caller is a coroutine on some event loop, or a thread."""

    __slots__ = ("expert", "future", "loop", "on_delta", "request")

    def __init__(
        self,
        request: Request,
        expert: Expert,
        on_delta: Callable[[Delta], None] | None = None,
        *,
        on_thread: bool = False,
    ) -> None:
        """`on_delta` is called on the caller's loop; on the pool's thread if the caller waits `on_thread`."""
        self.request = request
        self.expert = expert
        self.on_delta = on_delta
        self.loop = None if on_thread else asyncio.get_running_loop()
        self.future: Any = self.loop.create_future() if self.loop else concurrent.futures.Future()


class PendingRequest:
    """A request that is queued, generated or being stored, and everyone who waits for it."""

    __slots__ = ("expert", "queue", "request", "since", "storing", "streamed", "waiters")

    def __init__(self, queue: str, waiter: Waiter, since: float) -> None:
        self.queue = queue
        self.since = since
        self.request = waiter.request
        self.expert = waiter.expert
        self.waiters = [waiter]
        self.streamed: list[Delta] = []
        """Deltas so far; a caller who joins late receives them first."""
        self.storing = False

    def join(self, waiter: Waiter) -> None:
        """Add a waiter; it receives at once what has been streamed so far."""
        self.waiters.append(waiter)
        pass_on([(waiter, delta) for delta in self.streamed])

    def receive(self, delta: Delta) -> list[tuple[Waiter, Delta]]:
        """Remember a delta; the waiters to pass it on to."""
        self.streamed.append(delta)
        return [(waiter, delta) for waiter in self.waiters]

    def restart(self) -> None:
        """Its worker was lost. A caller who received the beginning receives the rest only at the end, since the new
        reply may repeat it."""
        if self.streamed:
            self.streamed.clear()
            for waiter in self.waiters:
                waiter.on_delta = None


def pass_on(deltas: Iterable[tuple[Waiter, Delta]]) -> None:
    """Hand deltas to waiters, each on its own loop; one wake-up per loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Callable[[Delta], None], Delta]]] = defaultdict(list)
    for waiter, delta in deltas:
        if waiter.on_delta is not None:
            by_loop[waiter.loop].append((waiter.on_delta, delta))
    for loop, part in by_loop.items():
        if loop is None:
            _deliver(part)
        else:
            _call(loop, _deliver, part)


def hand_over(outcomes: Iterable[tuple[Waiter, Outcome]]) -> None:
    """Resolve waiters, each on its own loop; one wake-up per loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Waiter, Outcome]]] = defaultdict(list)
    for waiter, outcome in outcomes:
        by_loop[waiter.loop].append((waiter, outcome))
    for loop, part in by_loop.items():
        if loop is None:
            _settle(part)
        else:
            _call(loop, _settle, part)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, *arguments)


def _deliver(deltas: list[tuple[Callable[[Delta], None], Delta]]) -> None:
    for on_delta, delta in deltas:
        on_delta(delta)


def _settle(outcomes: list[tuple[Waiter, Outcome]]) -> None:
    for waiter, outcome in outcomes:
        if waiter.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            waiter.future.set_exception(outcome)
        else:
            waiter.future.set_result(outcome)
