"""What happens on the pool's own thread: requests are answered from the ledger, joined, or queued; assignments are
carried out; completions are stored, then handed on.

Everything here runs on one event loop; nothing is locked.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Sequence

from orchestrator.errors import (
    Cancelled,
    CollegiumError,
    ExpertError,
    ExpertFailed,
    Overloaded,
    StorageError,
)
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Request
from orchestrator.inference.schedule.caller_loops import CallerLoops
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.messages import (
    Abort,
    Add,
    Loaded,
    LoadFailed,
    ReadAhead,
    Ready,
    Stepped,
    Switch,
    WorkerEvent,
    WorkerOrder,
)
from orchestrator.inference.schedule.pending import Outcome, PendingRequest, Waiter, hand_over, pass_on
from orchestrator.inference.schedule.scheduler import Assignment, Policy, Scheduler
from orchestrator.inference.schedule.supervisor import RetryLimits, Supervisor, WorkerHandle, WorkerSpec
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline

LATE = 0.002
"""Seconds by which a timer or ping may be late before somebody counts as busy."""


class Dispatch:
    """The pool's inside. Lives on `loop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        specs: Sequence[WorkerSpec],
        ledger: Ledger,
        kind_of: Callable[[Expert], str],
        queue_of: Callable[[Expert], str],
        policy: Policy | None,
        retry_limits: RetryLimits | None,
    ) -> None:
        self.scheduler = Scheduler(policy)
        self.timeline = Timeline()
        self._loop = loop
        self._ledger = ledger
        self._kind_of = kind_of
        self._queue_of = queue_of
        self._retry_limits = retry_limits = retry_limits or RetryLimits()
        self._supervisor = Supervisor(specs, self._on_event, self._on_left, self._on_given_up, retry_limits)
        self._callers = CallerLoops(loop, self._quiet_confirmed)
        self._pending_requests: dict[str, PendingRequest] = {}
        self._declared: dict[str, Expert] = {}
        """Queue -> the first expert that was asked for in it."""
        self._crashes: dict[str, tuple[int, float]] = {}
        """Queue -> (crashes in a row on its expert, time of the last)."""
        self._failed: dict[str, tuple[CollegiumError, float]] = {}
        """Kind, queue or fingerprint -> (why it is unavailable, until when)."""
        self._stopped: CollegiumError | None = None
        self._storing = 0
        self._wakeup: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """See `PoolBackend`."""
        self._loop.set_exception_handler(
            lambda _, context: self._broken(context.get("exception") or context["message"])
        )

    def start_workers(self) -> None:
        """See `PoolBackend`."""
        self._supervisor.start()

    def opened(self, conversation: str) -> None:
        """See `PoolBackend`."""
        self.scheduler.open(conversation)

    def closed(self, conversation: str) -> None:
        """See `PoolBackend`."""
        self.scheduler.close(conversation)

    def report_load(self, asked: concurrent.futures.Future[PoolLoad]) -> None:
        """Workers that are ready with the expert each holds, and requests per expert."""
        queued = self.scheduler.queued()
        counts = {expert.name: queued[queue] for queue, expert in self._declared.items()}
        ready = {
            name: handle for name, handle in self._supervisor.handles.items() if handle.ready and not handle.why_left
        }
        held = {name: handle.expert.name if handle.expert else None for name, handle in ready.items()}
        kinds = frozenset(handle.spec.kind for handle in ready.values())
        batches = {name: one.copy() for name, one in self.timeline.batches.items()}
        waits = {name: one.copy() for name, one in self.timeline.waits.items()}
        asked.set_result(PoolLoad(held, kinds, counts, self.timeline.totals(), batches, waits))

    async def end(self) -> None:
        """See `PoolBackend`."""
        self.stop(Cancelled("the pool was closed"))
        await self._supervisor.stop()

    def stop(self, error: CollegiumError) -> None:
        """Nothing can go on: every request, now and later, gets this error."""
        self._stopped = self._stopped or error
        entries = list(self._pending_requests.values())
        self._resolve([(entry.request.key, self._stopped) for entry in entries])
        self._recall([entry.request.key for entry in entries])

    def take_in(self, items: Sequence[Waiter | Callable[[], None]]) -> None:
        """Waiters, and functions to call between them, in the order in which they were posted."""
        waiters: list[Waiter] = []
        try:
            for item in items:
                if isinstance(item, Waiter):
                    waiters.append(item)
                else:
                    self._admit(waiters)
                    waiters = []
                    item()
            self._admit(waiters)
            self._tick()
        except Exception as error:
            stopped = self._broken(error)
            hand_over([(item, stopped) for item in items if isinstance(item, Waiter)])

    def withdraw(self, waiters: Iterable[Waiter]) -> None:
        """Their callers have gone. What is being stored already stays: somebody may ask for it again."""
        unclaimed: list[str] = []
        for waiter in waiters:
            entry = self._pending_requests.get(waiter.request.key)
            if entry is None or waiter not in entry.waiters:
                continue
            entry.waiters.remove(waiter)
            if not entry.waiters and not entry.storing:
                del self._pending_requests[waiter.request.key]
                unclaimed.append(waiter.request.key)
        self._recall(unclaimed)

    # Admission ----------------------------------------------------------------------------------------------

    def _admit(self, waiters: list[Waiter]) -> None:
        if not waiters:
            return
        now = time.monotonic()
        outcomes: list[tuple[Waiter, Outcome]] = []
        by_queue: dict[str, list[Request]] = {}
        new = [waiter.request.key for waiter in waiters if waiter.request.key not in self._pending_requests]
        known = self._known(new)
        for waiter in waiters:
            self._callers.seen(waiter.loop)
            key = waiter.request.key
            if entry := self._pending_requests.get(key):
                entry.join(waiter)
            elif completion := known.get(key):
                self.timeline.cached += 1
                outcomes.append((waiter, completion))
            elif refusal := self._refusal(waiter, now):
                outcomes.append((waiter, refusal))
            else:
                queue = self._queue_of(waiter.expert)
                self._pending_requests[key] = PendingRequest(queue, waiter, now)
                by_queue.setdefault(queue, []).append(waiter.request)
        if by_queue:
            self._supervisor.start()  # what the ledger answers needs no worker
        for queue, requests in by_queue.items():
            self.scheduler.submit(queue, requests, now)
        self.timeline.submitted += sum(map(len, by_queue.values()))
        if outcomes:
            self.scheduler.activity(now)
            hand_over(outcomes)

    def _known(self, keys: Sequence[str]) -> dict[str, Completion]:
        try:
            return self._ledger.get(keys)
        except StorageError as error:
            self.stop(error)
            return {}

    def _refusal(self, waiter: Waiter, now: float) -> CollegiumError | None:
        if self._stopped:
            return self._stopped
        expert, queue, kind = waiter.expert, self._queue_of(waiter.expert), self._kind_of(waiter.expert)
        for name in (expert.fingerprint, queue, kind):
            error, until = self._failed.get(name, (None, 0.0))
            if error is not None and now < until:
                error = error.with_message(str(error))
                error.expert = expert.name
                error.retry_after = None if math.isinf(until) else until - now
                return error
        if queue not in self._declared:
            if not self._supervisor.serves(kind):
                return ExpertError(f"expert {expert.name!r} needs a worker of kind {kind!r}, and there is none")
            self._declared[queue] = expert
            self.scheduler.declare(queue, kind=kind, shape=expert.shape)
        limit = waiter.request.max_wait
        wait = 0.0 if limit is None else self.scheduler.wait_estimate(queue, now, waiter.request.caller)
        if limit is not None and wait > limit:
            return Overloaded(f"expert {expert.name!r}: about {wait:.0f} s to wait, over {limit:.0f} s", wait)
        return None

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
        handle = self._supervisor.handles[assignment.worker]
        now = time.monotonic()
        entries = [self._pending_requests[request.key] for request in assignment.requests]
        pairs = tuple((entry.request, entry.expert) for entry in entries)
        for entry in entries:
            self.timeline.waited(entry.expert.name, now - entry.since)
        orders: list[WorkerOrder] = []
        if assignment.load:
            handle.queue, handle.expert, handle.since = assignment.queue, pairs[0][1], now
            orders.append(Switch(handle.expert))
            self.timeline.load_starts(assignment.worker, handle.expert.name)
        orders.append(Add(pairs))
        self._supervisor.send(assignment.worker, orders)

    # Workers ------------------------------------------------------------------------------------------------

    def _on_event(self, handle: WorkerHandle, event: WorkerEvent) -> None:
        now = time.monotonic()
        worker = handle.spec.name
        match event:
            case Ready(capacity):
                self.scheduler.join(worker, kind=handle.spec.kind, capacity=capacity, now=now)
            case Loaded(load) if handle.expert and load.expert == handle.expert.name:
                self.scheduler.loaded(worker, load.seconds, now)
                self.timeline.load_ends(worker, load)
                if following := self.scheduler.following(worker):
                    self._supervisor.send(worker, [ReadAhead(self._declared[following])])
            # A late event of a load that was given up meanwhile says nothing about the next one.
            case LoadFailed(name, error=CollegiumError() as error) if (
                handle.queue and handle.expert and name == handle.expert.name
            ):
                self._give_up(handle.queue, error, handle.expert.fingerprint)
                handle.queue = None
            case Stepped():
                self._stepped(handle, event, now)
        self._tick()

    def _stepped(self, handle: WorkerHandle, event: Stepped, now: float) -> None:
        self.timeline.stepped(handle.spec.name, event)
        streamed = [(entry, delta) for delta in event.deltas if (entry := self._pending_requests.get(delta.key))]
        pass_on([pair for entry, delta in streamed for pair in entry.receive(delta)])
        finished = [reply.key for reply in event.completions] + [failure.key for failure in event.failures]
        if wanted := [key for key in finished if key in self._pending_requests]:
            self.scheduler.delivered(handle.spec.name, wanted, now)
            self._recall(wanted)  # withdrawn, asked again and queued anew while this was on its way
            if handle.queue and event.completions:
                self._crashes.pop(handle.queue, None)
        for failure in event.failures:
            if entry := self._pending_requests.get(failure.key):
                failure.error.expert = entry.expert.name
        self._resolve([(failure.key, failure.error) for failure in event.failures])
        if event.completions:
            self._store(event.completions)

    def _on_left(self, handle: WorkerHandle) -> None:
        """A worker is gone: its requests go back. Its expert is to blame if it was at work."""
        returned = self.scheduler.lost(handle.spec.name, time.monotonic())
        self.timeline.lost(handle.spec.name, "" if handle.fresh else handle.why_left)
        for request in returned:
            self._pending_requests[request.key].restart()
        blamed = handle.expert if returned and not handle.fresh else None
        if (
            blamed
            and handle.queue
            and (crashes := self._count_crash(handle.queue, handle.since)) >= self._retry_limits.max_crashes
        ):
            why = f"expert {blamed.name!r} ended its worker {crashes} times in a row: {handle.why_left}"
            self._give_up(handle.queue, ExpertFailed(why))
        self._tick()

    def _count_crash(self, queue: str, since: float) -> int:
        """Crashes in a row on this queue's expert, with this one. Workers that are lost together (with their node)
        count as one crash: only a worker that was loaded after the last crash counts again."""
        crashes, last = self._crashes.get(queue, (0, -math.inf))
        if since > last:
            self._crashes[queue] = crashes + 1, time.monotonic()
        return self._crashes[queue][0]

    def _on_given_up(self, spec: WorkerSpec, error: ExpertFailed, last: bool) -> None:
        """This worker cannot be made. If it was the last of its kind, every request for that kind fails."""
        self.timeline.lost(spec.name, str(error))
        if last:
            self._fail(spec.kind, error)
            for queue, expert in self._declared.items():
                if self._kind_of(expert) == spec.kind:
                    self._give_up(queue, error)
        self._tick()

    def _broken(self, what: object) -> CollegiumError:
        """An unexpected error here: every request fails, since some would wait for ever otherwise."""
        error = CollegiumError(f"the scheduler's thread failed, please report this: {what!r}")
        self.stop(error)
        return error

    # Answers ------------------------------------------------------------------------------------------------

    def _store(self, completions: Sequence[Completion]) -> None:
        entries = [(entry, reply) for reply in completions if (entry := self._pending_requests.get(reply.key))]
        for entry, _ in entries:
            entry.storing = True
        done = self._ledger.put([(entry.expert.fingerprint, reply) for entry, reply in entries])
        self._storing += 1

        def stored() -> None:
            self._storing -= 1
            if error := done.exception():
                self.stop(error if isinstance(error, CollegiumError) else StorageError(str(error)))
            else:
                stored_before = done.result()
                self._resolve([(reply.key, stored_before.get(reply.key, reply)) for _, reply in entries])
            self._tick()

        def on_disk(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile, and everyone has an answer
                self._loop.call_soon_threadsafe(stored)

        done.add_done_callback(on_disk)

    def _resolve(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        pairs = [
            (waiter, outcome)
            for key, outcome in outcomes
            if (entry := self._pending_requests.pop(key, None))
            for waiter in entry.waiters
        ]
        if pairs:
            self.scheduler.activity(time.monotonic())
            hand_over(pairs)

    def _recall(self, keys: Iterable[str]) -> None:
        """Take requests back from the scheduler, and from the workers that have them."""
        now = time.monotonic()
        for key in keys:
            if worker := self.scheduler.withdraw(key, now):
                self._supervisor.send(worker, [Abort((key,))])
                self.scheduler.delivered(worker, [key], now)

    def _give_up(self, queue: str, error: CollegiumError, fingerprint: str | None = None) -> None:
        """This queue, or only one expert of those that share it, is unavailable: its requests, now and later, get
        this error."""
        self._fail(fingerprint or queue, error)
        entries = [entry for entry in self._pending_requests.values() if entry.queue == queue and not entry.storing]
        self._recall([entry.request.key for entry in entries])
        self.scheduler.drop(queue)
        others = [entry for entry in entries if fingerprint not in (None, entry.expert.fingerprint)]
        self.scheduler.submit(queue, [entry.request for entry in others], time.monotonic())
        gone = {entry.request.key for entry in entries} - {entry.request.key for entry in others}
        self._resolve([(key, error) for key in gone])

    def _fail(self, name: str, error: CollegiumError) -> None:
        retry_seconds = self._retry_limits.retry_seconds
        self._failed[name] = error, math.inf if retry_seconds is None else time.monotonic() + retry_seconds
