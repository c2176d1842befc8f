"""Tickets: who waits for which request. Identical requests share one generation; results are handed to each loop in
one call for all its tickets."""

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

    __slots__ = ("expert", "queue", "request", "said", "since", "storing", "tickets")

    def __init__(self, queue: str, ticket: Waiter, since: float) -> None:
        self.queue = queue
        self.since = since
        self.request = ticket.request
        self.expert = ticket.expert
        self.tickets = [ticket]
        self.said: list[Delta] = []
        """What was streamed so far: told again to a caller who joins late."""
        self.storing = False

    def join(self, ticket: Waiter) -> None:
        self.tickets.append(ticket)
        pass_on([(ticket, delta) for delta in self.said])

    def hear(self, delta: Delta) -> list[tuple[Waiter, Delta]]:
        """Remember it; whom to pass it on to."""
        self.said.append(delta)
        return [(ticket, delta) for ticket in self.tickets]

    def starts_again(self) -> None:
        """Its worker was lost. Who has heard the beginning hears the rest only at the end: it may be said twice."""
        if self.said:
            self.said.clear()
            for ticket in self.tickets:
                ticket.on_delta = None


def pass_on(deltas: Iterable[tuple[Waiter, Delta]]) -> None:
    """Tell tickets what was said, each on its own loop; one wake-up for all tickets of a loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Callable[[Delta], None], Delta]]] = defaultdict(list)
    for ticket, delta in deltas:
        if ticket.on_delta is not None:
            by_loop[ticket.loop].append((ticket.on_delta, delta))
    for loop, part in by_loop.items():
        if loop is None:
            _tell(part)
        else:
            _call(loop, _tell, part)


def hand_over(outcomes: Iterable[tuple[Waiter, Outcome]]) -> None:
    """Resolve tickets, each on its own loop; one wake-up for all tickets of a loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Waiter, Outcome]]] = defaultdict(list)
    for ticket, outcome in outcomes:
        by_loop[ticket.loop].append((ticket, outcome))
    for loop, part in by_loop.items():
        if loop is None:
            _settle(part)
        else:
            _call(loop, _settle, part)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, *arguments)


def _tell(deltas: list[tuple[Callable[[Delta], None], Delta]]) -> None:
    for on_delta, delta in deltas:
        on_delta(delta)


def _settle(outcomes: list[tuple[Waiter, Outcome]]) -> None:
    for ticket, outcome in outcomes:
        if ticket.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            ticket.future.set_exception(outcome)
        else:
            ticket.future.set_result(outcome)
