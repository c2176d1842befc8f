"""What the scheduler knows of each request, queue, worker and kind of worker. State only; decisions are elsewhere."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from orchestrator.inference.request import Request
from orchestrator.inference.schedule.measures import Rate, SwitchKind

_GUESSED_SECONDS = 0.1
"""Worker seconds per request, until the first has been measured."""


class QueuedRequest:
    """A pending request and where it is: in a queue, on a worker, or nowhere any more (withdrawn)."""

    __slots__ = ("place", "request", "since")

    def __init__(self, request: Request, since: float, place: ExpertQueue) -> None:
        self.request = request
        self.since = since
        self.place: ExpertQueue | WorkerState | None = place

    @property
    def lane(self) -> tuple[bool, str]:
        """(is a chat, caller)."""
        return self.request.max_wait is not None, self.request.caller


class WorkerKind:
    """Workers that can serve the same queues."""

    __slots__ = (
        "chats", "idle", "moves_open", "next_move_at", "open_since", "rate", "running", "shapes", "waiting",
        "waiting_queues", "workers",
    )  # fmt: skip

    def __init__(self) -> None:
        self.workers: dict[WorkerState, None] = {}
        self.idle: dict[WorkerState, None] = {}
        """Workers with nothing to do for their resident queue, longest idle first."""
        self.waiting_queues: dict[ExpertQueue, None] = {}
        """Queues with waiting requests."""
        self.shapes: dict[str, int] = {}
        """How many workers hold each shape, or are on the way to it."""
        self.rate = Rate()
        self.waiting = 0
        self.chats = 0
        """Those of the waiting requests that somebody waits for: they have a `max_wait`."""
        self.running = 0
        self.moves_open = False
        """True while a queue has waiting requests and no move has been ruled out."""
        self.open_since = 0.0
        """When `moves_open` became true."""
        self.next_move_at = 0.0
        """Earliest time at which a move can pay; 0: at once."""

    def has_move(self) -> bool:
        """True if a move may be worth making and a worker is idle."""
        return self.moves_open and bool(self.idle)


class ExpertQueue:
    """Requests waiting for one residency, and the workers that serve it. Callers are served in turn, each one's
    requests oldest first, and so are a caller's chats and batches: whoever has thousands waiting keeps nobody else."""

    __slots__ = (
        "capacity",
        "count",
        "kind",
        "lanes",
        "min_to_move",
        "name",
        "promised",
        "rate",
        "reader",
        "shape",
        "with_room",
        "workers",
    )

    def __init__(self, name: str, kind: WorkerKind, shape: str) -> None:
        self.name = name
        self.kind = kind
        self.shape = shape
        self.lanes: dict[tuple[bool, str], deque[QueuedRequest]] = {}
        """(is a chat, caller) -> entries; the first lane is next. Withdrawn ones stay until they are reached, or
        outnumber the rest."""
        self.count = 0
        """Entries that have not been withdrawn."""
        self.workers: dict[WorkerState, None] = {}
        """Workers whose resident it is, or is becoming."""
        self.with_room: dict[WorkerState, None] = {}
        """Its workers that have arrived and have room."""
        self.capacity = 0
        """Requests that all its workers together hold at once."""
        self.min_to_move = 0.0
        """Minimum of waiting requests at which one more worker pays."""
        self.promised = 0
        """Workers that were just assigned to it and have no requests yet."""
        self.rate = Rate()
        self.reader: WorkerState | None = None
        """The worker that reads its expert's files ahead."""

    def put(self, entries: list[QueuedRequest]) -> None:
        """Append requests."""
        lanes = self.lanes
        for entry in entries:
            if (lane := lanes.get(entry.lane)) is None:
                lane = lanes[entry.lane] = deque()
            lane.append(entry)
        self._change(len(entries), entries)

    def put_back(self, entries: list[QueuedRequest]) -> None:
        """Put entries back at the head of their callers' lanes, in the order given."""
        for entry in reversed(entries):
            entry.place = self
            self.lanes.setdefault(entry.lane, deque()).appendleft(entry)
        self._change(len(entries), entries)

    def take(self, count: int, place: WorkerState | None) -> list[QueuedRequest]:
        """The `count` that are next; they are at `place` from now on."""
        taken: list[QueuedRequest] = []
        lanes = self.lanes
        while len(taken) < count:
            key, lane = next(iter(lanes.items()))
            entry = lane.popleft()
            if not lane:
                del lanes[key]
            if entry.place is None:
                continue
            entry.place = place
            taken.append(entry)
            if lane and len(lanes) > 1:
                del lanes[key]
                lanes[key] = lane
        self._change(-count, taken)
        return taken

    def withdraw(self, entry: QueuedRequest) -> None:
        """Take a waiting request out."""
        entry.place = None
        self._change(-1, [entry])
        if sum(map(len, self.lanes.values())) > 2 * self.count + 64:
            kept = {key: deque(one for one in lane if one.place is not None) for key, lane in self.lanes.items()}
            self.lanes = {key: lane for key, lane in kept.items() if lane}

    def _change(self, count: int, entries: list[QueuedRequest]) -> None:
        self.count += count
        self.kind.waiting += count
        chats = sum(entry.lane[0] for entry in entries)
        self.kind.chats += chats if count > 0 else -chats
        if not self.count:
            self.lanes.clear()
            self.kind.waiting_queues.pop(self, None)
            self.kind.moves_open = self.kind.moves_open and bool(self.kind.waiting_queues)
        elif count > 0:
            self.kind.waiting_queues[self] = None

    def load(self) -> tuple[int, int]:
        """(waiting requests, running requests)."""
        return self.count, sum(len(worker.running) for worker in self.workers)

    def oldest(self) -> float:
        """When its first request was submitted (a hint: that one may have been withdrawn)."""
        return min(lane[0].since for lane in self.lanes.values())

    def oldest_chat(self) -> float:
        """The same of its chats; infinite without any."""
        return min((lane[0].since for (is_chat, _), lane in self.lanes.items() if is_chat), default=inf)

    def ahead_of(self, caller: str) -> int:
        """How many waiting requests go before the caller's next chat, as callers are served in turn."""
        own = len(self.lanes.get((True, caller), ()))
        others = sum(min(len(lane), own + 1) for key, lane in self.lanes.items() if key != (True, caller))
        return min(self.count, own + others)

    def seconds(self) -> float:
        """Worker seconds per request of this queue."""
        return self.rate.value(self.kind.rate.value(_GUESSED_SECONDS))

    def work(self) -> float:
        """Seconds that one worker would need for what is waiting."""
        return self.count * self.seconds()


class WorkerState:
    """One worker: what is resident, what is running, what it has held."""

    __slots__ = (
        "aborting",
        "arrives",
        "capacity",
        "charged_until",
        "dropped_queue",
        "held",
        "idle_since",
        "kind",
        "leaving",
        "loading",
        "name",
        "next",
        "origin",
        "queue",
        "running",
        "shape",
        "turn_ends",
        "way",
    )  # fmt: skip

    def __init__(self, name: str, kind: WorkerKind, capacity: int, now: float) -> None:
        self.name = name
        self.kind = kind
        self.capacity = capacity
        self.queue: ExpertQueue | None = None
        self.running: dict[str, QueuedRequest] = {}
        self.aborting: set[str] = set()
        """Running keys whose callers gave up."""
        self.dropped_queue: ExpertQueue | None = None
        """A queue that was dropped while the worker was on its way; it still has that queue's requests."""
        self.shape: str | None = None
        self.held: frozenset[str] = frozenset()
        """All shapes it has ever held."""
        self.origin: str | None = None
        """The shape it came from, which it still holds if the load fails."""
        self.loading = False
        self.way: SwitchKind = "start"
        """Kind of its current or last switch."""
        self.arrives = 0.0
        """When the load under way should end."""
        self.charged_until = now
        """Time up to which its busy time has been charged to a queue."""
        self.idle_since = now
        self.turn_ends = 0.0
        self.leaving: Literal["", "chat", "work"] = ""
        """Its turn is over: it finishes the running requests and leaves, although its queue has work."""
        self.next: ExpertQueue | None = None
        """The queue whose files it reads ahead."""

    def way_to(self, queue: ExpertQueue) -> SwitchKind:
        """The kind of switch that serving this queue needs."""
        if queue.shape == self.shape:
            return "swap"
        return "wake" if queue.shape in self.held else "start"

    def depart(self) -> None:
        """Leave the resident queue; nothing is held any more."""
        queue, self.queue, self.leaving = self.queue, None, ""
        if queue is not None:
            del queue.workers[self]
            queue.with_room.pop(self, None)
            queue.capacity -= self.capacity
        self.hold(None)

    def hold(self, shape: str | None) -> None:
        """Set the shape of the worker's model and count it for the kind."""
        shapes = self.kind.shapes
        if self.shape is not None:
            shapes[self.shape] -= 1
        self.shape = shape
        if shape is not None:
            shapes[shape] = shapes.get(shape, 0) + 1

    def go(self, queue: ExpertQueue, now: float, cost: float) -> None:
        """Set out for another queue."""
        way, origin = self.way_to(queue), self.shape
        self.depart()
        self.hold(queue.shape)
        self.way, self.origin = way, origin
        self.held |= {queue.shape}
        self.queue, self.dropped_queue = queue, None
        self.loading = True
        self.arrives = now + cost
        self.read_ahead(None)
        if queue.reader is not None:
            queue.reader.read_ahead(None)
        queue.workers[self] = None
        queue.capacity += self.capacity
        queue.promised += 1

    def room(self) -> int:
        """How many more requests the worker holds."""
        return self.capacity - len(self.running)

    def share(self, now: float) -> int:
        """How many more requests it should take from its queue: what it has room for, unless so little is left
        that the queue's workers would not finish together. A worker on its way counts as holding what the
        others could do until it arrives."""
        queue = self.queue
        if queue is None:
            return 0
        limit = min(self.room(), queue.count - queue.promised)
        if len(queue.workers) == 1 or (queue.count >= queue.capacity and not self.loading):
            return limit
        total, own, seconds = float(queue.count), 0.0, queue.seconds()
        for worker in queue.workers:
            holds = float(len(worker.running))
            if worker.loading and seconds:
                holds += max(0.0, worker.arrives - now) / seconds
            total += holds
            if worker is self:
                own = holds
        fair = -(-total * self.capacity // queue.capacity) - own
        return min(limit, max(int(self.loading), int(fair)))

    def read_ahead(self, queue: ExpertQueue | None) -> None:
        """Set the queue whose expert the worker reads ahead; None for none."""
        if self.next is not None:
            self.next.reader = None
        self.next = queue
        if queue is not None:
            queue.reader = self
