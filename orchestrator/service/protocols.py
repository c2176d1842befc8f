"""What the application stands on, as protocols: `runtime` in one process, `replica` as one of several on Ray Serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from orchestrator.chats.protocols import ServiceRouting
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.database import Database
from orchestrator.service.accounts import Accounts
from orchestrator.service.job_store import Job
from orchestrator.service.keys import Keys


class JobReader(Protocol):
    """What is on record of jobs. Blocks: call it from threads. Every method may raise `StorageError`."""

    def get(self, id: str) -> Job | None:
        """The job of this id."""
        ...

    def page(self, owner: str | None, limit: int, after: str | None) -> Sequence[Job]:
        """The newest first, those older than the job `after`; of all owners where `owner` is None."""
        ...

    def lines(self, id: str, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, float, str]]:
        """(number, time, text) of its log, oldest first."""
        ...


class JobRunner(Protocol):
    """Pipelines that run beside the chats. Blocks: call it from threads."""

    @property
    def store(self) -> JobReader:
        """What is on record of them."""
        ...

    def submit(
        self,
        pipeline: str,
        given: dict[str, Any],
        owner: str,
        idempotency_key: str | None = None,
        budget: dict[str, Any] | None = None,
    ) -> tuple[Job, bool]:
        """A new job, or this owner's with the same idempotency key; and whether it is new. Raises `BadInput`."""
        ...

    def cancel(self, id: str) -> bool:
        """Stop a job; False if it was over already."""
        ...

    def files(self, job: Job) -> list[Path]:
        """What a finished job left, for its owner to fetch."""
        ...


class Runtime(Protocol):
    """The zoo and its pool, the router, the jobs, the keys."""

    config: Config
    collegium: Collegium
    keys: Keys
    database: Database
    """What is kept for clients."""
    accounts: Accounts
    """What each key has spent."""
    started: bool
    """There is a pool: chats can wait for its workers."""
    ready: bool
    draining: bool

    @property
    def routing(self) -> ServiceRouting:
        """Ranks experts and learns from feedback."""
        ...

    @property
    def jobs(self) -> JobRunner:
        """Runs pipelines as jobs."""
        ...

    def open(self) -> None:
        """Start what runs in the background. Needs a running loop."""
        ...

    def reload(self) -> list[str]:
        """Read the configuration and the keys again; the settings that changed. Blocks. Raises `ConfigError` where
        something is wrong, or cannot change while the service runs: then nothing has changed."""
        ...

    def look_for_batches(self) -> None:
        """There is a new batch. On the service's loop."""
        ...

    async def close(self) -> None:
        """Stop it."""
        ...
