"""The crew: keeps a worker at every post, and makes a new one whenever one is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import ExpertFailed
from orchestrator.experts.expert import Expert
from orchestrator.schedule.host import Host, WorkerLost
from orchestrator.schedule.messages import Broken, Event, LoadFailed, Order, Ready

STARTS = 3
"""How often in a row a worker may be lost while it starts."""


@dataclass(frozen=True)
class Post:
    """A place for one worker: what it can run, and how to make it (again, after a loss)."""

    name: str
    kind: str
    make_host: Callable[[], Host]


@dataclass(slots=True)
class Seat:
    """A post's worker as it is now."""

    post: Post
    host: Host
    queue: str | None = None
    expert: Expert | None = None
    """What it was last told to load."""
    ready: bool = False
    why_left: str = ""
    fresh: bool = False
    """It left because its next expert wants a process of its own; nobody is to blame."""


class Crew:
    """Lives on one event loop. Every event goes to `on_event`, every worker that was ready and is gone to `on_left`;
    `on_stuck` hears when no worker can be made."""

    def __init__(
        self,
        posts: Sequence[Post],
        on_event: Callable[[Seat, Event], None],
        on_left: Callable[[Seat], None],
        on_stuck: Callable[[ExpertFailed], None],
    ) -> None:
        self.posts = posts
        self.seats: dict[str, Seat] = {}
        self._on_event = on_event
        self._on_left = on_left
        self._on_stuck = on_stuck
        self._tasks: set[asyncio.Task[None]] = set()
        self._manning: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._manning = [asyncio.get_running_loop().create_task(self._man(post)) for post in self.posts]

    def serves(self, kind: str) -> bool:
        return any(post.kind == kind for post in self.posts)

    def send(self, worker: str, orders: list[Order]) -> None:
        """Send in order, without waiting. To a lost worker: nothing happens here; `on_left` will tell."""

        async def sending(host: Host) -> None:
            with contextlib.suppress(WorkerLost):
                await host.send(orders)

        task = asyncio.get_running_loop().create_task(sending(self.seats[worker].host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._manning:
            task.cancel()
        await asyncio.gather(*self._manning, *self._tasks, return_exceptions=True)
        await asyncio.gather(*(seat.host.stop() for seat in self.seats.values()), return_exceptions=True)

    async def _man(self, post: Post) -> None:
        losses = 0
        while losses < STARTS:
            try:
                seat = self.seats[post.name] = Seat(post, post.make_host())
            except Exception as error:
                return self._stuck(post, f"{type(error).__name__}: {error}")
            try:
                while not seat.why_left:
                    for event in await seat.host.events():
                        self._note(seat, event)
                        self._on_event(seat, event)
                broken_at_start = not seat.ready
            except WorkerLost as loss:
                seat.why_left, broken_at_start = str(loss) or "lost", False
            losses = 0 if seat.ready else losses + 1
            if seat.ready:
                self._on_left(seat)
            await seat.host.stop()
            if broken_at_start:  # the same would happen again
                break
        return self._stuck(post, seat.why_left)

    def _note(self, seat: Seat, event: Event) -> None:
        match event:
            case Ready():
                seat.ready = True
            case Broken(message):
                seat.why_left = message
            case LoadFailed(fresh=fresh, broken=broken) if fresh or broken:
                seat.why_left, seat.fresh = event.message, fresh

    def _stuck(self, post: Post, why: str) -> None:
        others = (seat for seat in self.seats.values() if seat.post.kind == post.kind)
        if not any(seat.ready and not seat.why_left for seat in others):
            self._on_stuck(ExpertFailed(f"worker {post.name!r} cannot start: {why}"))
