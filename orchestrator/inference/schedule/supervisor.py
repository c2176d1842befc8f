"""The crew: keeps a worker at every post, and makes a new one whenever one is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ExpertFailed
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.host import Host, WorkerLost
from orchestrator.inference.schedule.messages import Broken, Event, Loaded, LoadFailed, Order, Ready


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """What is borne before something is given up. The defaults suit a run, which had better end than wait."""

    starts: int = 3
    """How often in a row a worker may be lost while it starts."""
    deaths: int = 2
    """How often in a row, without a completion between, an expert may end its worker."""
    again: float | None = None
    """Seconds after which what was given up is tried again; None: never."""


@dataclass(frozen=True)
class WorkerSpec:
    """A place for one worker: what it can run, and how to make it (again, after a loss)."""

    name: str
    kind: str
    make_host: Callable[[], Host]


@dataclass(slots=True)
class WorkerHandle:
    """A post's worker as it is now."""

    post: WorkerSpec
    host: Host
    queue: str | None = None
    expert: Expert | None = None
    """What it was last told to load,"""
    since: float = 0.0
    """and when."""
    ready: bool = False
    used: bool = False
    """Its process has held an expert."""
    why_left: str = ""
    fresh: bool = False
    """It left because its next expert wants a process of its own; nobody is to blame."""
    orders: list[Order] = field(default_factory=list)
    """Not yet sent."""
    sending: bool = False


class Supervisor:
    """Lives on one event loop. Every event goes to `on_event`, every worker that was ready and is gone to `on_left`;
    `on_stuck` hears when a post is given up, and whether it was the last of its kind."""

    def __init__(
        self,
        posts: Sequence[WorkerSpec],
        on_event: Callable[[WorkerHandle, Event], None],
        on_left: Callable[[WorkerHandle], None],
        on_stuck: Callable[[WorkerSpec, ExpertFailed, bool], None],
        losses: RetryLimits | None = None,
    ) -> None:
        self.seats: dict[str, WorkerHandle] = {}
        self._posts = posts
        self._kinds = {post.kind for post in posts}
        self._manned = {post.name: post.kind for post in posts}
        """Posts that have not been given up."""
        self._on_event = on_event
        self._on_left = on_left
        self._on_stuck = on_stuck
        self._losses = losses or RetryLimits()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Man the posts. Idempotent."""
        posts, self._posts = self._posts, ()
        for post in posts:
            self._begin(self._man(post))

    def serves(self, kind: str) -> bool:
        return kind in self._kinds

    def send(self, worker: str, orders: list[Order]) -> None:
        """Send without waiting. One message is under way at a time: Ray keeps no order among an asyncio actor's
        calls. To a lost worker: nothing happens here; `on_left` will tell."""
        seat = self.seats[worker]
        seat.orders.extend(orders)
        if not seat.sending:
            seat.sending = True
            self._begin(self._send(seat))

    async def stop(self) -> None:
        """End every worker, whatever it is doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(seat.host.stop() for seat in self.seats.values()), return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.result()  # what it raised goes to the loop's exception handler

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _send(self, seat: WorkerHandle) -> None:
        with contextlib.suppress(WorkerLost):
            while seat.orders:
                orders, seat.orders = seat.orders, []
                await seat.host.send(orders)
            seat.sending = False

    async def _man(self, post: WorkerSpec) -> None:
        again = self._losses.again
        while True:
            why = await self._keep_manned(post)
            del self._manned[post.name]
            last = post.kind not in self._manned.values()
            self._on_stuck(post, ExpertFailed(f"worker {post.name!r} cannot start: {why}"), last)
            if again is None:
                return
            await asyncio.sleep(again)
            self._manned[post.name] = post.kind

    async def _keep_manned(self, post: WorkerSpec) -> str:
        """Until that is hopeless: why."""
        why, losses = "", 0
        while losses < self._losses.starts:
            try:
                seat = self.seats[post.name] = WorkerHandle(post, post.make_host())
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                break
            broken = await self._attend(seat)
            why, losses = seat.why_left, 0 if seat.ready else losses + 1
            if seat.ready:
                self._on_left(seat)
            await seat.host.stop()
            if broken and not seat.ready:  # the same would happen again
                break
        return why

    async def _attend(self, seat: WorkerHandle) -> bool:
        """Pass on what it says until it leaves. Whether it said so itself."""
        try:
            while not seat.why_left:
                for event in await seat.host.events():
                    self._note(seat, event)
                    self._on_event(seat, event)
        except WorkerLost as loss:
            seat.why_left = str(loss) or "lost"
            return False
        return True

    def _note(self, seat: WorkerHandle, event: Event) -> None:
        match event:
            case Ready():
                seat.ready = True
            case Loaded():
                seat.used = True
            case Broken(message):
                seat.why_left = message
            case LoadFailed(fresh=fresh, broken=broken) if fresh or broken:
                # A process that has held nothing yet is as fresh as can be.
                seat.why_left, seat.fresh = event.message, fresh and seat.used
