"""What happens on the pool's own thread: requests are answered from the ledger, joined, or queued; assignments are
carried out; completions are stored, then handed on.

Everything here runs on one event loop; nothing is locked.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.engines.engine import PROMPT_TOO_LONG
from orchestrator.errors import (
    Cancelled,
    CollegiumError,
    ExpertError,
    ExpertFailed,
    Overloaded,
    PromptTooLong,
    RequestError,
    StorageError,
)
from orchestrator.experts.expert import Expert
from orchestrator.schedule.callers import Callers, Outcome, Ticket, hand_over
from orchestrator.schedule.crew import Crew, Post, Seat
from orchestrator.schedule.ledger import Entry, Ledger
from orchestrator.schedule.messages import (
    Abort,
    Add,
    Event,
    Failed,
    Loaded,
    LoadFailed,
    Order,
    ReadAhead,
    Ready,
    Stepped,
    Switch,
)
from orchestrator.schedule.request import Completion, Request
from orchestrator.schedule.scheduler import Assignment, Policy, Scheduler
from orchestrator.schedule.timeline import Timeline

LATE = 0.002
"""Seconds by which a timer or ping may be late before somebody counts as busy."""


DEATHS = 2
"""How often in a row, without a completion between, an expert may end its worker."""


@dataclass(slots=True)
class _Entry:
    """A request under way, and everyone who waits for it."""

    queue: str
    tickets: list[Ticket]
    deltas: int = 0


class Dispatch:
    """The pool's inside. Lives on `loop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        posts: Sequence[Post],
        ledger: Ledger,
        kind_of: Callable[[Expert], str],
        queue_of: Callable[[Expert], str],
        policy: Policy | None,
    ) -> None:
        self.scheduler = Scheduler(policy)
        self.timeline = Timeline()
        self._loop = loop
        self._ledger = ledger
        self._kind_of = kind_of
        self._queue_of = queue_of
        self._crew = Crew(posts, self._on_event, self._on_left, self._stop)
        self._callers = Callers(loop, self._quiet_confirmed)
        self._entries: dict[str, _Entry] = {}
        self._declared: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._failed: dict[str, CollegiumError] = {}
        self._stopped: CollegiumError | None = None
        self._storing = 0
        self._wakeup: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._crew.start()

    async def end(self) -> None:
        self._stop(Cancelled("the pool was closed"))
        await self._crew.stop()

    def take_in(self, items: Iterable[Ticket | Callable[[], None]]) -> None:
        """Tickets, and things to do between them, in the order in which they were posted."""
        tickets: list[Ticket] = []
        for item in items:
            if isinstance(item, Ticket):
                tickets.append(item)
            else:
                self._admit(tickets)
                tickets = []
                item()
        self._admit(tickets)
        self._tick()

    def _admit(self, tickets: list[Ticket]) -> None:
        if not tickets:
            return
        now = time.monotonic()
        outcomes: list[tuple[Ticket, Outcome]] = []
        unknown: list[Ticket] = []
        for ticket in tickets:
            self._callers.seen(ticket.loop)
            if entry := self._entries.get(ticket.request.key):
                entry.tickets.append(ticket)
            else:
                unknown.append(ticket)
        try:
            known = self._ledger.get([ticket.request.key for ticket in unknown])
        except Exception as error:
            self._stop(StorageError(f"{self._ledger.path}: cannot read the ledger: {error}"))
            known = {}
        by_queue: dict[str, list[Request]] = {}
        for ticket in unknown:
            key = ticket.request.key
            if completion := known.get(key):
                self.timeline.cached += 1
                outcomes.append((ticket, completion))
            elif entry := self._entries.get(key):
                entry.tickets.append(ticket)
            elif refusal := self._refusal(ticket, now):
                outcomes.append((ticket, refusal))
            else:
                name = self._queue_of(ticket.expert)
                self._entries[key] = _Entry(name, [ticket])
                by_queue.setdefault(name, []).append(ticket.request)
        for name, requests in by_queue.items():
            self.scheduler.submit(name, requests, now)
        self.timeline.submitted += sum(map(len, by_queue.values()))
        if outcomes:
            self.scheduler.activity(now)
            hand_over(outcomes)

    def _refusal(self, ticket: Ticket, now: float) -> CollegiumError | None:
        if self._stopped:
            return self._stopped
        expert, queue = ticket.expert, self._queue_of(ticket.expert)
        if queue in self._failed:
            return self._failed[queue]
        if queue not in self._declared:
            kind = self._kind_of(expert)
            if not self._crew.serves(kind):
                return ExpertError(f"expert {expert.name!r} needs a worker of kind {kind!r}, and there is none")
            self._declared.add(queue)
            self.scheduler.declare(queue, kind=kind, shape=expert.shape)
        limit = ticket.request.max_wait
        if limit is not None and (wait := self.scheduler.wait_estimate(queue, now)) > limit:
            return Overloaded(f"expert {expert.name!r}: about {wait:.0f} s to wait, over {limit:.0f} s", wait)
        return None

    def withdraw(self, tickets: list[Ticket]) -> None:
        now = time.monotonic()
        for ticket in tickets:
            key = ticket.request.key
            entry = self._entries.get(key)
            if entry is None or ticket not in entry.tickets:
                continue
            entry.tickets.remove(ticket)
            if entry.tickets:
                continue
            del self._entries[key]
            if worker := self.scheduler.withdraw(key, now):
                self._crew.send(worker, [Abort((key,))])
                self.scheduler.delivered(worker, [key], now)

    # Deciding -----------------------------------------------------------------------------------------------

    def _tick(self, planned: float | None = None) -> None:
        """Let the scheduler decide, and wake up again when it wants. `planned`: when a timer meant to do this."""
        now = time.monotonic()
        late = planned is not None and now - planned > LATE
        if self._storing or late or self._callers.outstanding:
            self.scheduler.activity(now)
        for assignment in self.scheduler.tick(now):
            self._carry_out(assignment)
        if self._wakeup:
            self._wakeup.cancel()
            self._wakeup = None
        if (at := self.scheduler.next_tick(now)) is not None:
            at = max(at, now)
            self._wakeup = self._loop.call_at(at, self._quiet_passed, at)

    def _quiet_passed(self, planned: float) -> None:
        """Quiet has lasted long enough on our clock. Callers may still be at work on what they were handed: ask
        their loops, and decide when they have answered, or did not in time (then they are busy)."""
        if self._callers.outstanding or not self._callers.ping():
            self._tick(planned)
        else:
            self._wakeup = self._loop.call_later(LATE, self._tick)

    def _quiet_confirmed(self) -> None:
        if self._wakeup is not None:
            self._tick()

    def _carry_out(self, assignment: Assignment) -> None:
        seat = self._crew.seats[assignment.worker]
        pairs = tuple((request, self._entries[request.key].tickets[0].expert) for request in assignment.requests)
        orders: list[Order] = []
        if assignment.load:
            seat.queue, seat.expert = assignment.queue, pairs[0][1]
            orders.append(Switch(seat.expert))
            self.timeline.load_starts(assignment.worker, seat.expert.name)
        orders.append(Add(pairs))
        self._crew.send(assignment.worker, orders)

    # Workers ------------------------------------------------------------------------------------------------

    def _on_left(self, seat: Seat) -> None:
        """A worker is gone: its requests go back; who is to blame for it is noted."""
        self.scheduler.lost(seat.post.name, time.monotonic())
        self.timeline.lost(seat.post.name, "" if seat.fresh else seat.why_left)
        if seat.queue and seat.expert and not seat.fresh:
            self._deaths[seat.queue] += 1
            if self._deaths[seat.queue] >= DEATHS:
                why = f"expert {seat.expert.name!r} ended its worker {DEATHS} times in a row: {seat.why_left}"
                self._give_up(seat.queue, ExpertFailed(why))
        self._tick()

    def _on_event(self, seat: Seat, event: Event) -> None:
        now = time.monotonic()
        worker = seat.post.name
        match event:
            case Ready(capacity):
                self.scheduler.join(worker, kind=seat.post.kind, capacity=capacity, now=now)
            case Loaded(load):
                self.scheduler.loaded(worker, load.seconds, now)
                self.timeline.load_ends(worker, load)
                if (following := self.scheduler.following(worker)) and (expert := self._first(following)):
                    self._crew.send(worker, [ReadAhead(expert)])
            case LoadFailed(message=message, bad_input=True) if seat.queue:
                self._give_up(seat.queue, ExpertError(message))
            case Stepped():
                self._stepped(seat, event, now)
        self._tick()

    def _first(self, queue: str) -> Expert | None:
        return next((e.tickets[0].expert for e in self._entries.values() if e.queue == queue), None)

    def _stepped(self, seat: Seat, event: Stepped, now: float) -> None:
        self.timeline.stepped(seat.post.name, event)
        for delta in event.deltas:
            if entry := self._entries.get(delta.key):
                entry.deltas += 1
                for ticket in entry.tickets:
                    ticket.stream(delta)
        keys = [reply.key for reply in event.completions] + [failure.key for failure in event.failures]
        keys = [key for key in keys if key in self._entries]
        if keys:
            self.scheduler.delivered(seat.post.name, keys, now)
            if seat.queue and event.completions:
                self._deaths.pop(seat.queue, None)
        self._resolve([(failure.key, _failure(failure)) for failure in event.failures])
        if event.completions:
            self._store(event.completions)

    def _store(self, completions: Sequence[Completion]) -> None:
        entries: list[Entry] = [
            (entry.tickets[0].expert.fingerprint, reply)
            for reply in completions
            if (entry := self._entries.get(reply.key))
        ]
        done = self._ledger.put(entries)
        self._storing += 1

        def stored() -> None:
            self._storing -= 1
            if error := done.exception():
                self._stop(error if isinstance(error, CollegiumError) else StorageError(str(error)))
            else:
                self._resolve([(reply.key, reply) for reply in completions])
            self._tick()

        done.add_done_callback(lambda _: self._loop.call_soon_threadsafe(stored))

    # Answers ------------------------------------------------------------------------------------------------

    def _resolve(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        pairs = [
            (ticket, outcome)
            for key, outcome in outcomes
            if (entry := self._entries.pop(key, None))
            for ticket in entry.tickets
        ]
        if pairs:
            self.scheduler.activity(time.monotonic())
            hand_over(pairs)

    def _give_up(self, queue: str, error: CollegiumError) -> None:
        """This queue's expert cannot be had: everyone who waits for it hears so, now and later."""
        self._failed[queue] = error
        self.scheduler.drop(queue)
        now = time.monotonic()
        keys = [key for key, entry in self._entries.items() if entry.queue == queue]
        for key in keys:
            if worker := self.scheduler.withdraw(key, now):
                self._crew.send(worker, [Abort((key,))])
                self.scheduler.delivered(worker, [key], now)
        self._resolve([(key, error) for key in keys])

    def _stop(self, error: CollegiumError) -> None:
        """Nothing can go on: everyone hears why."""
        self._stopped = self._stopped or error
        self._fail_all(self._stopped)

    def _fail_all(self, error: CollegiumError) -> None:
        self._resolve([(key, error) for key in list(self._entries)])


def _failure(failure: Failed) -> RequestError:
    kind = PromptTooLong if failure.message.startswith(PROMPT_TOO_LONG) else RequestError
    return kind(f"request {failure.key[:12]}: {failure.message}")
