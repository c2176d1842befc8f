"""Where a worker lives: in this process, or in a Ray actor on some node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from orchestrator.schedule.messages import Broken, Event, Order, Stop
from orchestrator.schedule.worker import MakeEngine, Worker


class Host(Protocol):
    """A worker's home, as the pool sees it. Every call may raise `WorkerLost`."""

    name: str

    async def send(self, orders: list[Order]) -> None: ...

    async def events(self) -> list[Event]:
        """Waits until there is something to tell."""
        ...

    async def stop(self) -> None:
        """End it, whatever state it is in. Never raises."""
        ...


class WorkerLost(Exception):
    """The worker's process or node is gone."""


class _Outbox:
    """Carries events from the engine's thread to a coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._some = asyncio.Event()

    def emit(self, events: list[Event]) -> None:
        with self._lock:
            first = not self._events
            self._events.extend(events)
        if first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._some.set)

    async def take(self) -> list[Event]:
        await self._some.wait()
        with self._lock:
            events, self._events = self._events, []
            self._some.clear()
        return events


class InProcess:
    """A worker on a thread of this process: remote models, and the scripted engine in tests."""

    def __init__(self, name: str, make_engine: MakeEngine) -> None:
        self.name = name
        self._outbox = _Outbox()
        self._worker = Worker(make_engine, self._outbox.emit)

    async def send(self, orders: list[Order]) -> None:
        self._worker.order(orders)

    async def events(self) -> list[Event]:
        return await self._outbox.take()

    async def stop(self) -> None:
        self._worker.order([Stop()])
        await asyncio.to_thread(self._worker.join, 10)


class WorkerActor:
    """The body of the Ray actor."""

    def __init__(self, make_engine: MakeEngine, files: Mapping[str, tuple[str, ...]]) -> None:
        self._make_engine = make_engine
        self._files = files
        self._outbox: _Outbox | None = None
        self._worker: Worker | None = None

    async def events(self) -> list[Event]:
        if self._outbox is None:
            self._outbox = _Outbox()
            if missing := _missing(self._files):
                return [Broken(missing)]
            self._worker = Worker(self._make_engine, self._outbox.emit)
        return await self._outbox.take()

    async def send(self, orders: list[Order]) -> None:
        assert self._worker is not None
        self._worker.order(orders)

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.order([Stop()])
            await asyncio.to_thread(self._worker.join, 10)

    def where(self) -> tuple[str, int]:
        """(node's host name, process id)."""
        return os.uname().nodename, os.getpid()


def _missing(files: Mapping[str, tuple[str, ...]]) -> str | None:
    for expert, paths in files.items():
        for path in paths:
            if not os.path.exists(path):
                return f"expert {expert!r}: {path} does not exist on node {os.uname().nodename}"
    return None


class OnRay:
    """A worker in a Ray actor with its share of a node's devices. Ray never restarts it: the pool does."""

    def __init__(
        self,
        name: str,
        make_engine: MakeEngine,
        *,
        cpus: float,
        gpus: float,
        resources: Mapping[str, float],
        files: Mapping[str, tuple[str, ...]],
    ) -> None:
        import ray

        self.name = name
        threads = str(max(1, int(cpus)))
        self._actor: Any = (
            ray.remote(WorkerActor)
            .options(
                num_cpus=cpus,
                num_gpus=gpus,
                resources=dict(resources),
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=4,
                # Ray would set OMP_NUM_THREADS to 1 for a fractional share, and torch with it.
                runtime_env={"env_vars": {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}},
            )
            .remote(make_engine, dict(files))
        )

    async def send(self, orders: list[Order]) -> None:
        await self._call(self._actor.send.remote(orders))

    async def events(self) -> list[Event]:
        events: list[Event] = await self._call(self._actor.events.remote())
        return events

    async def where(self) -> tuple[str, int]:
        place: tuple[str, int] = await self._call(self._actor.where.remote())
        return place

    async def stop(self) -> None:
        import ray

        with contextlib.suppress(TimeoutError, WorkerLost):
            await asyncio.wait_for(self._call(self._actor.stop.remote()), 15)
        ray.kill(self._actor)

    async def _call(self, reference: Any) -> Any:
        import ray

        try:
            return await reference
        except ray.exceptions.RayActorError as error:
            raise WorkerLost(str(error).splitlines()[0]) from error
