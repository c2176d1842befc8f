"""Where a worker lives: in this process, or in a Ray actor on some node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from orchestrator.inference.schedule.messages import Broken, Stop, WorkerEvent, WorkerOrder
from orchestrator.inference.schedule.ray_cluster import fitting, missing_file
from orchestrator.inference.schedule.worker import MakeEngine, Worker

LOOK = 5.0
"""Seconds between two looks whether a worker that has not answered yet can have a place at all,"""
LOOKS = 12
"""and how many of them in vain it takes to give up: a node may come back, or be added."""


class Host(Protocol):
    """A worker's home, as the pool sees it. Every call may raise `WorkerLost`."""

    name: str

    async def send(self, orders: list[WorkerOrder]) -> None:
        """Hand orders to the worker."""
        ...

    async def events(self) -> list[WorkerEvent]:
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
        self._events: list[WorkerEvent] = []
        self._lock = threading.Lock()
        self._some = asyncio.Event()

    def emit(self, events: list[WorkerEvent]) -> None:
        with self._lock:
            first = not self._events
            self._events.extend(events)
        if first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._some.set)

    async def take(self) -> list[WorkerEvent]:
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

    async def send(self, orders: list[WorkerOrder]) -> None:
        """See `Host`."""
        self._worker.order(orders)

    async def events(self) -> list[WorkerEvent]:
        """See `Host`."""
        return await self._outbox.take()

    async def stop(self) -> None:
        """See `Host`."""
        self._worker.order([Stop()])
        await asyncio.to_thread(self._worker.join, 10)


class WorkerActor:
    """The body of the Ray actor."""

    def __init__(self, make_engine: MakeEngine, files: Mapping[str, Sequence[str]]) -> None:
        self._make_engine = make_engine
        self._files = files
        self._outbox: _Outbox | None = None
        self._worker: Worker | None = None

    async def events(self) -> list[WorkerEvent]:
        """The worker's next events; the first call starts the worker."""
        if self._outbox is None:
            self._outbox = _Outbox()
            if missing := missing_file(self._files):
                return [Broken(missing)]
            self._worker = Worker(self._make_engine, self._outbox.emit)
        return await self._outbox.take()

    async def send(self, orders: list[WorkerOrder]) -> None:
        """Hand orders to the worker."""
        assert self._worker is not None
        self._worker.order(orders)

    async def stop(self) -> None:
        """Stop the worker; waits 10 s at most."""
        if self._worker is not None:
            self._worker.order([Stop()])
            await asyncio.to_thread(self._worker.join, 10)

    def where(self) -> tuple[str, int]:
        """(node's host name, process id)."""
        return os.uname().nodename, os.getpid()


class OnRay:
    """A worker in a Ray actor with its share of a node's devices. Ray never restarts it: the pool does."""

    def __init__(
        self, name: str, make_engine: MakeEngine, *, needs: Mapping[str, float], files: Mapping[str, Sequence[str]]
    ) -> None:
        """`needs`: Ray resources, "CPU" among them. `files`: expert -> paths that its node must have.

        Raises `WorkerLost` if this process has left the Ray cluster.
        """
        import ray

        _still_in_ray()
        self.name = name
        self._needs = dict(needs)
        self._answered = False
        others = {what: amount for what, amount in needs.items() if what not in ("CPU", "GPU")}
        threads = str(max(1, int(needs["CPU"])))
        self._actor: Any = (
            ray.remote(WorkerActor)
            .options(
                num_cpus=needs["CPU"],
                num_gpus=needs.get("GPU", 0.0),
                resources=others,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=4,
                # Ray would set OMP_NUM_THREADS to 1 for a fractional share, and torch with it.
                runtime_env={"env_vars": {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}},
            )
            .remote(make_engine, dict(files))
        )

    async def send(self, orders: list[WorkerOrder]) -> None:
        """See `Host`."""
        await self._call("send", orders)

    async def events(self) -> list[WorkerEvent]:
        """See `Host`."""
        waiting = asyncio.ensure_future(self._call("events"))
        tries = 0
        try:
            while not self._answered and not (await asyncio.wait({waiting}, timeout=LOOK))[0]:
                tries = 0 if self._has_a_place() else tries + 1
                if tries == LOOKS:
                    return [Broken(f"no node of the Ray cluster has {self._needs}")]
            self._answered = True
            events: list[WorkerEvent] = await waiting
            return events
        finally:
            waiting.cancel()

    async def where(self) -> tuple[str, int]:
        """The worker's node and process id."""
        place: tuple[str, int] = await self._call("where")
        return place

    async def stop(self) -> None:
        """See `Host`."""
        import ray

        with contextlib.suppress(Exception):  # whatever state it is in, and Ray itself may be gone
            if self._answered:
                # Not `wait_for`: Python 3.11's forgets that it was cancelled if what it waits for ends just then.
                async with asyncio.timeout(15):
                    await self._call("stop")
        with contextlib.suppress(Exception):
            _still_in_ray()
            ray.kill(self._actor)

    def _has_a_place(self) -> bool:
        import ray

        _still_in_ray()
        return any(node["Alive"] and fitting(self._needs, node["Resources"]) for node in ray.nodes())

    async def _call(self, method: str, *arguments: object) -> Any:
        import ray

        _still_in_ray()
        try:
            return await getattr(self._actor, method).remote(*arguments)
        except ray.exceptions.RayError as error:
            raise WorkerLost(_first_words(error)) from error


def _still_in_ray() -> None:
    """Asked for anything after it was shut down, Ray would start again."""
    import ray

    if not ray.is_initialized():
        raise WorkerLost("Ray was shut down")


def _first_words(error: Exception) -> str:
    """What happened, without the pages that Ray adds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:1] + [line for line in lines[1:] if "exit detail" in line])[:500]
