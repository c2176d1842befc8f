"""The supervisor: keeps every worker running, and makes a new one whenever one is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ExpertFailed
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.host import Host, WorkerLost
from orchestrator.inference.schedule.messages import Broken, Loaded, LoadFailed, Ready, WorkerEvent, WorkerOrder


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Retry limits. The defaults suit a run, which should rather end than wait."""

    max_starts: int = 3
    """How many times in a row a worker may be lost while it starts before it is given up."""
    max_crashes: int = 2
    """How many workers in a row, without a completion between, may crash on one expert before it is disabled."""
    retry_seconds: float | None = None
    """Seconds before a failed expert or worker is retried; None: never."""


@dataclass(frozen=True)
class WorkerSpec:
    """How to make one worker, at first and after each loss, and which kind of queue it serves."""

    name: str
    kind: str
    make_host: Callable[[], Host]


@dataclass(slots=True)
class WorkerHandle:
    """One worker as it is now."""

    spec: WorkerSpec
    host: Host
    queue: str | None = None
    expert: Expert | None = None
    """The expert of its latest order to load."""
    since: float = 0.0
    """Time of that order, seconds of the monotonic clock."""
    ready: bool = False
    used: bool = False
    """Its process has held an expert."""
    why_left: str = ""
    fresh: bool = False
    """It left because its next expert needs a fresh process; no expert is blamed for it."""
    orders: list[WorkerOrder] = field(default_factory=list)
    """Not yet sent."""
    sending: bool = False


class Supervisor:
    """Lives on one event loop. Every event goes to `on_event`, every worker that was ready and is gone to `on_left`.
    `on_given_up` is called when a worker is given up, with True if it was the last of its kind."""

    def __init__(
        self,
        specs: Sequence[WorkerSpec],
        on_event: Callable[[WorkerHandle, WorkerEvent], None],
        on_left: Callable[[WorkerHandle], None],
        on_given_up: Callable[[WorkerSpec, ExpertFailed, bool], None],
        retry_limits: RetryLimits | None = None,
    ) -> None:
        self.handles: dict[str, WorkerHandle] = {}
        self._specs = specs
        self._kinds = {spec.kind for spec in specs}
        self._running_kinds = {spec.name: spec.kind for spec in specs}
        """Worker -> kind, of the workers that have not been given up."""
        self._on_event = on_event
        self._on_left = on_left
        self._on_given_up = on_given_up
        self._retry_limits = retry_limits or RetryLimits()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the workers. Idempotent."""
        specs, self._specs = self._specs, ()
        for spec in specs:
            self._begin(self._run_worker(spec))

    def serves(self, kind: str) -> bool:
        """True if there are workers of this kind."""
        return kind in self._kinds

    def send(self, worker: str, orders: list[WorkerOrder]) -> None:
        """Send without waiting. One message is under way at a time: Ray keeps no order among an asyncio actor's
        calls. Orders to a lost worker are dropped; `on_left` reports the loss."""
        handle = self.handles[worker]
        handle.orders.extend(orders)
        if not handle.sending:
            handle.sending = True
            self._begin(self._send(handle))

    async def stop(self) -> None:
        """End every worker, whatever it is doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(handle.host.stop() for handle in self.handles.values()), return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.result()  # what it raised goes to the loop's exception handler

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _send(self, handle: WorkerHandle) -> None:
        with contextlib.suppress(WorkerLost):
            while handle.orders:
                orders, handle.orders = handle.orders, []
                await handle.host.send(orders)
            handle.sending = False

    async def _run_worker(self, spec: WorkerSpec) -> None:
        retry_seconds = self._retry_limits.retry_seconds
        while True:
            why = await self._keep_running(spec)
            del self._running_kinds[spec.name]
            last = spec.kind not in self._running_kinds.values()
            self._on_given_up(spec, ExpertFailed(f"worker {spec.name!r} cannot start: {why}"), last)
            if retry_seconds is None:
                return
            await asyncio.sleep(retry_seconds)
            self._running_kinds[spec.name] = spec.kind

    async def _keep_running(self, spec: WorkerSpec) -> str:
        """Start and restart one worker until its start limit is reached; the reason of the last loss."""
        why, failures = "", 0
        while failures < self._retry_limits.max_starts:
            try:
                handle = self.handles[spec.name] = WorkerHandle(spec, spec.make_host())
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                break
            broken = await self._follow_events(handle)
            why, failures = handle.why_left, 0 if handle.ready else failures + 1
            if handle.ready:
                self._on_left(handle)
            await handle.host.stop()
            if broken and not handle.ready:  # the same would happen again
                break
        return why

    async def _follow_events(self, handle: WorkerHandle) -> bool:
        """Pass on its events until it leaves. True if the worker itself reported the end."""
        try:
            while not handle.why_left:
                for event in await handle.host.events():
                    self._note(handle, event)
                    self._on_event(handle, event)
        except WorkerLost as loss:
            handle.why_left = str(loss) or "lost"
            return False
        return True

    def _note(self, handle: WorkerHandle, event: WorkerEvent) -> None:
        match event:
            case Ready():
                handle.ready = True
            case Loaded():
                handle.used = True
            case Broken(message):
                handle.why_left = message
            case LoadFailed(fresh=fresh, broken=broken) if fresh or broken:
                # A process that has held nothing yet is as fresh as can be.
                handle.why_left, handle.fresh = event.message, fresh and handle.used
