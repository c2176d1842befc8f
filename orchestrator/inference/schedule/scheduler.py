"""Which worker serves which queue next: a plain state machine without Ray, threads or a clock of its own.

The policy. A worker stays with its resident queue while that has work. When it has none, another queue has, and
there has been quiet, the worker goes where (waiting work + age of the oldest request) / cost of getting there is
greatest; of several idle workers the one that has been idle longest goes. A queue that is served already gets one
more worker when its waiting work, divided by those serving it, outweighs the load.

What it promises. While a queue waits that nobody serves and a worker of its kind is idle, a worker is assigned
within one swap's cost (or `Policy.patience` or `Policy.quiet`, if greater), however busy the callers are; only where
busy workers hold the queue's shape and the idle ones do not, within the dearer way's cost. A waiting queue is
overtaken only by one whose waiting work plus age is greater (at equal costs). Its own age only grows, so a queue
that is fed more slowly than a worker works overtakes it at most once each time that age doubles.
What it does not promise: a queue that is never empty keeps its worker for ever, unless `Policy.turn` is set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from orchestrator.inference.request import Request
from orchestrator.inference.schedule.choice import BATCH_TURNS, choose, leaves_for, next_for, wait
from orchestrator.inference.schedule.measures import Patience, SwitchCosts
from orchestrator.inference.schedule.queues import ExpertQueue, QueuedRequest, WorkerKind, WorkerState


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds throughout. The costs are first guesses; measured ones replace them."""

    quiet: float = 0.005
    swap_cost: float = 0.5
    start_cost: float = 20.0
    patience: float = 0.05
    """Callers that are still busy are waited for at most one swap's cost, or this where swaps cost less."""
    turn: float | None = None
    """For services whose streams never end: seconds after which a worker leaves a queue that has work for what
    `choice.leaves_for` says, so that a batch still needs one load for each of its experts. None: it stays."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Orders for one worker: load the queue's expert first if `load`, then add the requests (at least one)."""

    worker: str
    queue: str
    requests: list[Request]
    load: bool


class Scheduler:
    """A queue is what one residency serves: one expert, or a base with all adapters that run beside it.

    Times are seconds of any monotonic clock, given by the caller with every event. Call `tick` after every event
    and at `next_tick`. Waiting queues are scanned only when a worker may move, so that the cost of a request does
    not grow with the number of queues. A broken contract (unknown queue, a key that is pending already, a worker
    that joins twice) raises ValueError and changes nothing; late events from a lost worker are ignored.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.costs = SwitchCosts(swap=self.policy.swap_cost, start=self.policy.start_cost)
        self._queues: dict[str, ExpertQueue] = {}
        self._workers: dict[str, WorkerState] = {}
        self._kinds: dict[str, WorkerKind] = {}
        self._pending: dict[str, QueuedRequest] = {}
        self._feed: dict[ExpertQueue, None] = {}
        """Queues that may have work for a worker that is there already."""
        self._open_kinds: dict[WorkerKind, None] = {}
        """Kinds whose workers may have a move to make (each remote expert is a kind: there may be hundreds)."""
        self._outstanding: dict[str, int] = {}
        """Pending requests of each open conversation."""
        self._paused = 0
        """Number of open conversations without a pending request."""
        self._last_activity = -inf
        """Time of the last sign of a busy caller."""
        self._busy_patience = Patience()
        """Patience with callers that stay busy."""
        self._pause_patience = Patience()
        """Patience with conversations that wait for something else than a reply."""

    @property
    def pending(self) -> int:
        """Requests waiting or running."""
        return len(self._pending)

    def queued(self) -> dict[str, tuple[int, int]]:
        """Queue -> (requests waiting, running)."""
        return {queue.name: queue.load() for queue in self._queues.values()}

    # Who and what there is.
    def declare(self, queue: str, *, kind: str, shape: str) -> None:
        """Announce a queue, before anything is submitted to it. Workers of the same `kind` serve it; between
        queues of one `shape` a worker swaps (cheap), between shapes it starts anew (dear). Idempotent."""
        if queue not in self._queues:
            self._queues[queue] = ExpertQueue(queue, self._kinds.setdefault(kind, WorkerKind()), shape)

    def join(self, worker: str, *, kind: str, capacity: int, now: float) -> None:
        """A worker is ready for up to `capacity` >= 1 requests at once. Raises ValueError if it joined before."""
        if worker in self._workers:
            raise ValueError(f"worker {worker!r} has joined already")
        if capacity < 1:
            raise ValueError(f"worker {worker!r}: capacity must be at least 1, not {capacity}")
        joined = WorkerState(worker, self._kinds.setdefault(kind, WorkerKind()), capacity, now)
        self._workers[worker] = joined
        joined.kind.workers[joined] = None
        self._make_idle(joined, now)

    def lost(self, worker: str, now: float) -> list[Request]:
        """A worker is gone: its requests go back to the heads of their queues, in order; they are returned. Requests
        whose callers had given up are forgotten instead."""
        gone = self._workers.pop(worker, None)
        if gone is None:
            return []
        queue = gone.queue or gone.dropped_queue
        back = [entry for key, entry in gone.running.items() if key not in gone.aborting]
        for key in gone.aborting:
            self._forget(gone.running[key])
        gone.kind.running -= len(gone.running)
        del gone.kind.workers[gone]
        gone.kind.idle.pop(gone, None)
        gone.read_ahead(None)
        gone.depart()
        if queue is not None:
            queue.put_back(back)
            self._serve(queue, now)
        return [entry.request for entry in back]

    def drop(self, queue: str) -> list[Request]:
        """Give up on a queue (its expert failed): its waiting requests are removed and returned. Those on a worker
        stay until they are delivered. A worker on its way has not arrived: it will load again before it serves."""
        dropped = self._known(queue)
        entries = dropped.take(dropped.count, None)
        for entry in entries:
            self._forget(entry)
        for worker in [worker for worker in dropped.workers if worker.loading]:
            worker.loading = False
            worker.depart()
            worker.dropped_queue = dropped
            worker.hold(worker.origin)
            if not worker.running:
                self._make_idle(worker, worker.charged_until)
        return [entry.request for entry in entries]

    # What happened.
    def submit(self, queue: str, requests: Iterable[Request], now: float) -> None:
        """Requests to be served in this order. Raises ValueError where the key of one is pending already."""
        target = self._known(queue)
        entries = [QueuedRequest(request, now, target) for request in requests]
        keyed = {entry.request.key: entry for entry in entries}
        if len(keyed) < len(entries) or not self._pending.keys().isdisjoint(keyed):
            raise ValueError(f"queue {queue!r}: a request was submitted whose key is pending already")
        if not entries:
            return
        if target.kind.moves_open:
            self._learn_patience(target, now)
        self._pending.update(keyed)
        if self._outstanding:
            for entry in entries:
                self._count(entry, 1)
        target.put(entries)
        self._serve(target, now)
        self._last_activity = max(self._last_activity, now)

    def loaded(self, worker: str, seconds: float, now: float) -> None:
        """The worker reached its queue's expert; `seconds` teaches the cost of that way."""
        arrived = self._workers.get(worker)
        if arrived is not None and arrived.loading and arrived.queue is not None:
            self.costs.learn(arrived.way, arrived.queue.shape, seconds)
            self._arrive(arrived, arrived.queue, now)

    def delivered(self, worker: str, keys: Iterable[str], now: float) -> None:
        """These requests have left the worker (finished, failed or aborted). Keys not on it are ignored."""
        if not (source := self._workers.get(worker)):
            return
        running, queue = source.running, source.queue
        held, finished = len(running), 0
        for key in keys:
            entry = running.pop(key, None)
            if entry is not None:
                self._forget(entry)
                finished += key not in source.aborting
        gone = held - len(running)
        if not gone:
            return
        source.kind.running -= gone
        if source.aborting:
            source.aborting.intersection_update(running)
        self._last_activity = max(self._last_activity, now)
        if source.loading:
            return
        if queue is not None:
            if finished:
                # Charged by the share it filled: a worker that is half empty must not look slow.
                seconds = max(0.0, now - source.charged_until) * held / source.capacity
                queue.rate.learn(seconds, finished)
                source.kind.rate.learn(seconds, finished)
                source.charged_until = now
            if not source.leaving:
                queue.with_room[source] = None
                if queue.count:
                    self._feed[queue] = None
                    return
        if not running:
            self._make_idle(source, now)

    def withdraw(self, key: str, now: float) -> str | None:
        """The caller gave up: a waiting request is forgotten (None); a running one's worker is named, to abort
        it there; it counts as running until it is delivered. Unknown keys are ignored (None)."""
        entry = self._pending.get(key)
        if entry is None:
            return None
        if isinstance(entry.place, WorkerState):
            entry.place.aborting.add(key)
            return entry.place.name
        if entry.place is not None:
            entry.place.withdraw(entry)
        self._forget(entry)
        self._last_activity = max(self._last_activity, now)
        return None

    def activity(self, now: float) -> None:
        """A caller is busy (has just been handed something, is late): quiet starts anew."""
        self._last_activity = max(self._last_activity, now)

    def open(self, conversation: str) -> None:
        """A conversation begins. While it has nothing pending it may be about to ask: workers are patient."""
        if conversation not in self._outstanding:
            self._outstanding[conversation] = 0
            self._paused += 1

    def close(self, conversation: str) -> None:
        """A conversation has ended. Its requests, if any, stay pending."""
        if self._outstanding.pop(conversation, 1) == 0:
            self._paused -= 1

    # What to do.
    def tick(self, now: float) -> list[Assignment]:
        """Orders that are due now: first more work for workers that are where it is, then moves."""
        orders: list[Assignment] = []
        if self._feed:
            feed, self._feed = self._feed, {}
            for queue in feed:
                self._feed_workers(queue, now, orders)
        for kind in list(self._open_kinds):
            if kind.has_move() and self._due(next(iter(kind.idle))) <= now:
                self._move(kind, now, orders)
            if not kind.moves_open:
                del self._open_kinds[kind]
        return orders

    def next_tick(self, now: float) -> float | None:
        """When `tick` must be called again if nothing happens before; None: only after an event."""
        if self._feed:
            return now
        due = [self._due(next(iter(kind.idle))) for kind in self._open_kinds if kind.has_move()]
        return max(now, min(due)) if due else None

    def following(self, worker: str) -> str | None:
        """The queue this worker would go to next, for read-ahead: the best that nobody serves and no other worker
        reads ahead. Scans the waiting queues: ask once a move, not once a request."""
        reader = self._workers.get(worker)
        found = next_for(reader, self.costs, self._last_activity) if reader else None
        if reader:
            reader.read_ahead(found)
        return found.name if found else None

    def wait_estimate(self, queue: str, now: float, caller: str = "") -> float:
        """Seconds until this caller's request would reach a worker if submitted now, as far as measured costs tell.
        Infinite while its kind has no worker. If nobody serves the queue and all are busy: as if all went first;
        with turns, all chats."""
        return wait(self._known(queue), self.costs, self.policy.quiet, self.policy.turn, now, caller)

    def _known(self, queue: str) -> ExpertQueue:
        if queue not in self._queues:
            raise ValueError(f"queue {queue!r} has not been declared")
        return self._queues[queue]

    def _count(self, entry: QueuedRequest, change: int) -> None:
        conversation = entry.request.conversation
        before = self._outstanding.get(conversation) if conversation is not None else None
        if conversation is not None and before is not None and before + change >= 0:
            self._outstanding[conversation] = before + change
            self._paused += (before + change == 0) - (before == 0)

    def _forget(self, entry: QueuedRequest) -> None:
        del self._pending[entry.request.key]
        if self._outstanding:
            self._count(entry, -1)

    def _serve(self, queue: ExpertQueue, now: float) -> None:
        """If a queue has work: feed its workers, or open moves if it has none."""
        if queue.count and queue.workers:
            self._feed[queue] = None
        elif queue.count:
            self._open_moves(queue.kind, now)

    def _open_moves(self, kind: WorkerKind, now: float) -> None:
        kind.next_move_at = 0.0
        if kind.waiting_queues and not kind.moves_open:
            kind.moves_open = True
            kind.open_since = now
            self._open_kinds[kind] = None

    def _make_idle(self, worker: WorkerState, now: float) -> None:
        worker.idle_since = now
        worker.kind.idle[worker] = None
        self._open_moves(worker.kind, now)

    def _arrive(self, worker: WorkerState, queue: ExpertQueue, now: float) -> None:
        worker.loading = False
        worker.charged_until = now
        if self.policy.turn is not None:
            worker.turn_ends = now + self.policy.turn
        if worker.room():
            queue.with_room[worker] = None
        self._feed[queue] = None
        if not worker.running and not queue.count:
            self._make_idle(worker, now)

    def _feed_workers(self, queue: ExpertQueue, now: float, orders: list[Assignment]) -> None:
        idle = queue.kind.idle
        for worker in list(queue.with_room):
            if queue.count and not self._turn_is_over(worker, queue, now) and (count := worker.share(now)):
                if not worker.running:
                    worker.charged_until = now
                    idle.pop(worker, None)
                orders.append(Assignment(worker.name, queue.name, self._hand(worker, queue, count), False))
            elif not worker.running and worker not in idle:
                self._make_idle(worker, now)
        if idle and queue.count and queue.count >= queue.min_to_move:
            self._open_moves(queue.kind, now)

    def _turn_is_over(self, worker: WorkerState, queue: ExpertQueue, now: float) -> bool:
        if self.policy.turn is None or now <= worker.turn_ends:
            return False
        worker.leaving = leaves_for(queue, late=now - worker.arrives > BATCH_TURNS * self.policy.turn)
        if worker.leaving:
            del queue.with_room[worker]
        else:
            worker.turn_ends = now + self.policy.quiet  # looking costs a scan: not at every request
        return bool(worker.leaving)

    def _due(self, worker: WorkerState) -> float:
        """When an idle worker may leave its queue."""
        kind, quiet = worker.kind, self.policy.quiet
        begun = max(worker.idle_since, kind.open_since)
        cost = max(self.policy.patience, self.costs.of("swap", worker.shape or ""))
        due = min(self._last_activity + quiet, begun + max(quiet, self._busy_patience.share * cost))
        if self._paused:
            due = max(due, begun + max(quiet, self._pause_patience.share * cost))
        return max(due, kind.next_move_at)

    def _learn_patience(self, queue: ExpertQueue, now: float) -> None:
        """A queue gets work: if its worker was held back for it, that patience has paid."""
        kind, quiet = queue.kind, self.policy.quiet
        if kind.waiting_queues and any(
            worker in kind.idle and now > max(worker.idle_since, kind.open_since) + quiet for worker in queue.workers
        ):
            (self._busy_patience if now < self._last_activity + quiet else self._pause_patience).rewarded()

    def _move(self, kind: WorkerKind, now: float, orders: list[Assignment]) -> None:
        free = [worker for worker in kind.idle if self._due(worker) <= now]
        moved: list[tuple[WorkerState, ExpertQueue]] = []
        left = False
        while free and (move := choose(kind, free, self.costs, now)):
            worker, queue = move
            free.remove(worker)
            del kind.idle[worker]
            before = worker.queue
            worker.go(queue, now, self.costs.of(worker.way_to(queue), queue.shape))
            if before is not None:
                left = True
                self._serve(before, now)
            moved.append(move)
        if left and now < self._last_activity + self.policy.quiet:
            self._busy_patience.in_vain()
        elif left and self._paused:
            self._pause_patience.in_vain()
        # Shares are known only now that all have chosen.
        for worker, queue in moved:
            queue.promised -= 1
            requests = self._hand(worker, queue, worker.share(now))
            orders.append(Assignment(worker.name, queue.name, requests, True))
        # A queue that nobody serves is always worth a move: what is left for the others can wait for news.
        kind.moves_open = bool(kind.waiting_queues) and (not free or kind.next_move_at > now)
        for worker in free:
            if worker.leaving and worker.queue is not None:
                worker.leaving = ""
                self._arrive(worker, worker.queue, now)

    def _hand(self, worker: WorkerState, queue: ExpertQueue, count: int) -> list[Request]:
        taken = queue.take(count, worker)
        worker.running.update([(entry.request.key, entry) for entry in taken])
        worker.kind.running += count
        if len(worker.running) >= worker.capacity:
            queue.with_room.pop(worker, None)
        return [entry.request for entry in taken]
