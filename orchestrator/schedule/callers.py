"""The callers' side of the pool: tickets that wait for a completion, and a sense of whether callers are busy.

A caller is a coroutine on some event loop, or a thread. Results are handed to each loop in one call for all
its tickets. Whether a loop is busy is found by passing a ping through it: a pong comes back once everything
that was ready before has run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.experts.expert import Expert
from orchestrator.schedule.request import Completion, Delta, Request

Outcome = Completion | Exception


class Ticket:
    """One caller's claim on one request's completion. Identical requests share one generation."""

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

    def stream(self, delta: Delta) -> None:
        if self.on_delta is None:
            return
        if self.loop is None:
            self.on_delta(delta)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.on_delta, delta)


def hand_over(outcomes: Iterable[tuple[Ticket, Outcome]]) -> None:
    """Resolve tickets, each on its own loop; one wake-up for all tickets of a loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Ticket, Outcome]]] = defaultdict(list)
    for ticket, outcome in outcomes:
        by_loop[ticket.loop].append((ticket, outcome))
    for loop, part in by_loop.items():
        if loop is None:
            _settle(part)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_settle, part)


def _settle(outcomes: list[tuple[Ticket, Outcome]]) -> None:
    for ticket, outcome in outcomes:
        if ticket.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            ticket.future.set_exception(outcome)
        else:
            ticket.future.set_result(outcome)


class Callers:
    """Knows the loops that callers live on, and whether they have run all that was ready."""

    def __init__(self, home: asyncio.AbstractEventLoop, answered: Callable[[], None]) -> None:
        """`answered` is called on `home` when the last outstanding ping has come back."""
        self._home = home
        self._answered = answered
        self._pinged: dict[asyncio.AbstractEventLoop, float] = {}
        self._loops: set[asyncio.AbstractEventLoop] = set()

    def seen(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None:
            self._loops.add(loop)

    @property
    def outstanding(self) -> bool:
        return bool(self._pinged)

    def ping(self) -> bool:
        """Ask every loop for a sign of idleness. False if there is no loop to ask."""
        for loop in list(self._loops):
            if loop in self._pinged:
                continue
            if loop.is_closed():
                self._loops.discard(loop)
                continue
            self._pinged[loop] = time.monotonic()
            loop.call_soon_threadsafe(self._pong, loop)
        return bool(self._pinged)

    def _pong(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(self._back, loop)

    def _back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pinged.pop(loop, None)
        if not self._pinged:
            self._answered()
