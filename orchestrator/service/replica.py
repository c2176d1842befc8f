"""A replica on Ray Serve: the application's runtime with the scheduler and the jobs elsewhere, in the named actor."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from orchestrator.chats.routing import Routing
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.database import Database
from orchestrator.errors import ConfigError
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.budget import BudgetPool
from orchestrator.inference.schedule.remote_pool import RemotePool
from orchestrator.service.accounts import Accounts
from orchestrator.service.job_store import Job
from orchestrator.service.keys import Keys
from orchestrator.service.runtime import key_stores, warm_up
from router.ranking import Ranking

LOOK = 0.5
"""Seconds between looks whether the scheduler is ready."""


class ReplicaRuntime:
    """`actor` is the named scheduler's handle, `caller` this replica's own name, `warm` as `ServiceRuntime`'s."""

    def __init__(self, config: Config, actor: Any, caller: str, *, warm: bool = False) -> None:
        self.config = config
        self._actor = actor
        self._warm = warm
        self._pool = RemotePool(actor, caller)
        self.collegium = Collegium(
            config, pool=self._pool, layer=lambda workers: BudgetPool(workers, self.accounts.current)
        )
        self.keys = Keys(*key_stores(config))
        self.database = Database(config.database, self.collegium.state / "service.sqlite")
        self.accounts = Accounts(self.database, self.keys.of_id)
        self.routing = RemoteRouting(self.collegium, self.database, actor, warm=warm)
        self.jobs = RemoteJobs(actor)
        self.started = True
        self.ready = self.draining = False
        self._preparing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Follow whether the scheduler is ready. Needs a running loop."""
        self.routing.open()
        self._preparing = asyncio.get_running_loop().create_task(self._prepare())

    def reload(self) -> list[str]:
        """Keys are read again, as they are every second anyway. Raises `ConfigError`: settings stay as they were
        deployed."""
        self.keys.reload()
        raise ConfigError("reload: on Ray Serve settings are changed by deploying anew; keys are read every second")

    def look_for_batches(self) -> None:
        """See `Runtime`: the process that holds the scheduler looks every second."""

    async def close(self) -> None:
        """Leave the scheduler to the others."""
        self.draining, self.ready = True, False
        if self._preparing is not None:
            self._preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._preparing
        await self.routing.close()
        await asyncio.to_thread(self._pool.close)
        await asyncio.to_thread(self.accounts.close)
        await asyncio.to_thread(self.keys.close)
        self.database.close()

    async def _prepare(self) -> None:
        if self._warm:
            await asyncio.to_thread(warm_up, self.collegium)
        while True:
            try:
                self.ready = await self._actor.ready.remote()
            except Exception:
                self.ready = False  # it is being started anew
            await asyncio.sleep(10 * LOOK if self.ready else LOOK)


class RemoteRouting:
    """Ranks here; feedback goes to the one process that writes it."""

    def __init__(self, collegium: Collegium, database: Database, actor: Any, *, warm: bool = False) -> None:
        """`warm`: as `Routing`'s."""
        self._here = Routing(collegium, database, warm=warm)
        self._actor = actor
        self.conversations = self._here.conversations

    def open(self) -> None:
        """Follow the profile. Needs a running loop."""
        self._here.open()

    async def close(self) -> None:
        """Stop following it."""
        await self._here.close()

    async def rank(
        self, questions: list[str], before: list[str] | None = None, mixture: FittedMixture | None = None
    ) -> list[Ranking]:
        """One ranking per question, by this replica's own mixture."""
        return await self._here.rank(questions, before, mixture)

    async def mixture(self) -> FittedMixture:
        """The mixture, stored by whichever process fitted it first."""
        return await self._here.mixture()

    async def profiled(self) -> Profiled:
        """The profile that this replica's router was fitted on."""
        return await self._here.profiled()

    def why_not(self, *, whole: bool = False) -> str | None:
        """Why this replica cannot rank, or not fit methods, yet."""
        return self._here.why_not(whole=whole)

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        """Learn in the scheduler's actor. Raises what the actor raises."""
        try:
            return int(await self._actor.learn.remote(question, expert, score, skills))
        except Exception as error:
            raise getattr(error, "cause", error) from None


class RemoteJobs:
    """The actor's jobs, as the routes use them. Blocks: call it from threads."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.store = self

    def submit(
        self,
        pipeline: str,
        given: dict[str, Any],
        owner: str,
        idempotency_key: str | None = None,
        budget: dict[str, Any] | None = None,
    ) -> tuple[Job, bool]:
        """See `JobRunner`."""
        found: tuple[Job, bool] = self._call("submit", pipeline, given, owner, idempotency_key, budget)
        return found

    def cancel(self, id: str) -> bool:
        """See `JobRunner`."""
        return bool(self._call("cancel", id))

    def files(self, job: Job) -> list[Path]:
        """See `JobRunner`."""
        return list(self._call("files", job))

    def get(self, id: str) -> Job | None:
        """See `JobStore`."""
        found: Job | None = self._call("get", id)
        return found

    def page(self, owner: str | None, limit: int, after: str | None) -> list[Job]:
        """See `JobStore`."""
        return list(self._call("page", owner, limit, after))

    def lines(self, id: str, after: int = 0, limit: int = 1000) -> list[tuple[int, float, str]]:
        """See `JobStore`."""
        return list(self._call("lines", id, after, limit))

    def _call(self, method: str, *arguments: Any) -> Any:
        import ray

        try:
            return ray.get(self._actor.job.remote(method, *arguments))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
