"""A replica's house: the same rooms, with the scheduler and the jobs elsewhere, in the named actor."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.inference.schedule.remote_pool import RemotePool
from orchestrator.service.keys import Keys
from orchestrator.service.ray_serve import RemoteJobs
from orchestrator.service.routing import Routing
from orchestrator.service.runtime import ServiceRuntime, key_file

LOOK = 0.5
"""Seconds between looks whether the scheduler is ready."""


class ReplicaRuntime(ServiceRuntime):
    """`actor` is the named scheduler's handle, `caller` this replica's own name."""

    def __init__(self, config: Config, actor: Any, caller: str) -> None:
        self.config = config
        self._actor = actor
        self._pool = RemotePool(actor, caller)
        self.collegium = Collegium(config, pool=self._pool)
        self.keys = Keys(key_file(config))
        self.routing = RemoteRouting(self.collegium, actor)
        self.jobs = RemoteJobs(actor)  # type: ignore[assignment]  # has all that the routes use
        self.started = True
        self.ready = self.draining = False
        self._preparing = None

    async def close(self) -> None:
        self.draining, self.ready = True, False
        if self._preparing is not None:
            self._preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._preparing
        await asyncio.to_thread(self._pool.close)

    async def _prepare(self) -> None:
        while True:
            try:
                self.ready = await self._actor.ready.remote()
            except Exception:
                self.ready = False  # it is being started anew
            await asyncio.sleep(10 * LOOK if self.ready else LOOK)


class RemoteRouting(Routing):
    """Ranks here; feedback goes to the one process that writes it."""

    def __init__(self, collegium: Collegium, actor: Any) -> None:
        super().__init__(collegium)
        self._actor = actor

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        try:
            return int(await self._actor.learn.remote(question, expert, score, skills))
        except Exception as error:
            raise getattr(error, "cause", error) from None
