"""Jobs: pipelines that run beside the chats, on the same pool, in a thread and event loop of their own.

Everything a job generates is in the ledger, and its run folder is found again by its request: a job that was
interrupted, however rudely, is simply started anew, and goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.collegium import Collegium
from orchestrator.config import BudgetConfig
from orchestrator.errors import BadInput, CollegiumError, StorageError
from orchestrator.inference.caller import caller
from orchestrator.pipelines.registry import named
from orchestrator.service import refusals
from orchestrator.service.job_store import OVER, Job, JobStore
from orchestrator.service.leases import SECONDS
from orchestrator.service.pipelines import parse
from orchestrator.service.references import References

_log = logging.getLogger("collegium")
LOOK = 1.0
"""Seconds between looks for jobs of other services, and for those that were cancelled there."""
MARGIN = 5.0
"""Seconds before the end of a lease at which a service that cannot renew it stops."""
TICK = 0.5
"""Least seconds between two writes of a job's progress."""


class Jobs:
    """Thread-safe. `start` it once; `close` leaves what is under way queued for the next start."""

    def __init__(self, collegium: Collegium, store: JobStore, references: References) -> None:
        self.store = store
        self._references = references
        self._collegium = collegium
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking = threading.Thread(target=self._look, name="job leases", daemon=True)
        self._wake = threading.Event()
        self._closing = False

    def start(self) -> None:
        """Run what is queued, and what was interrupted."""
        self._thread.start()
        self._looking.start()

    def submit(
        self,
        pipeline: str,
        given: dict[str, Any],
        owner: str,
        idempotency_key: str | None = None,
        budget: dict[str, Any] | None = None,
    ) -> tuple[Job, bool]:
        """A new job, or the one that this owner made with the same idempotency key; and whether it is new. Raises
        `BadInput`, and `Refused` (409) if that one is another request's."""
        found, request = parse(pipeline, given, self._collegium)
        if found.name == "check":
            _refuse_second_engine(given.get("experts") or [], self._collegium)
        self._references.resolved(owner, given)  # what cannot be found is refused now
        wanted = request.model_dump(mode="json", exclude_defaults=True)
        job, new = self.store.add(owner, found.name, wanted, idempotency_key, budget)
        if not new and (job.pipeline, job.request, job.budget) != (found.name, wanted, budget):
            message = f"this Idempotency-Key belongs to another request's job, {job.id}: use a new key"
            raise refusals.Refused(409, message, code="idempotency", param="Idempotency-Key")
        if new:
            if note := named(pipeline)[1]:
                self.store.log(job.id, note)
            self._wake.set()
        return job, new

    def cancel(self, id: str) -> bool:
        """Stop a job; False if it was over already. What it generated stays in the ledger."""
        if not self.store.cancel(id):
            return False
        self.store.log(id, "cancelled")
        with contextlib.suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._cancel, id)
        return True

    def files(self, job: Job) -> list[Path]:
        """What a finished job left, for its owner to fetch. Raises `Refused` (409) for a folder on another node."""
        if job.status != "succeeded" or not job.folder:
            return []
        if not Path(job.folder).is_dir():
            message = "another node ran this job, and its `runs` folder is not here: ask that node, or share the folder"
            raise refusals.Refused(409, message, code="elsewhere")
        return sorted(path for path in Path(job.folder).iterdir() if path.is_file() and not path.name.startswith("."))

    def close(self) -> None:
        """Idempotent."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        if self._looking.is_alive():
            self._looking.join(60)
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(30)
            with contextlib.suppress(StorageError):  # else others wait until the leases end
                self.store.leases.release()
        self._loop.close()
        self.store.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _look(self) -> None:
        """Take up jobs while there is room, and hold on to those under way. On a thread of its own: a pipeline that
        computes for long does not lose its job."""
        held_until, released = 0.0, False
        while not self._closing:
            self._wake.clear()
            try:
                if not released:
                    self.store.leases.release()  # what this service held when it was killed
                    released = True
                now, under_way = time.monotonic(), set(self._tasks)
                held = self.store.leases.renew() if under_way else set()
                held_until = now + SECONDS - MARGIN
                for id in under_way - held:
                    self._loop.call_soon_threadsafe(self._cancel, id)
                while len(self._tasks) < self._collegium.config.service.jobs and (job := self.store.take()):
                    if job.starts > 1:
                        self.store.log(job.id, "the service was restarted: going on")
                    asyncio.run_coroutine_threadsafe(self._begin(job), self._loop).result()
            except StorageError as error:
                _log.error("jobs: cannot be looked up; trying again: %s", error)
                if time.monotonic() > held_until:  # another service may have taken them over
                    for id in set(self._tasks):
                        self._loop.call_soon_threadsafe(self._cancel, id)
            self._wake.wait(LOOK)

    async def _begin(self, job: Job) -> None:
        def over(_: object) -> None:
            self._tasks.pop(job.id, None)
            self._wake.set()

        self._tasks[job.id] = task = asyncio.get_running_loop().create_task(self._work(job))
        task.add_done_callback(over)

    def _cancel(self, id: str) -> None:
        if task := self._tasks.get(id):
            task.cancel()

    async def _leave(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, job: Job) -> None:
        caller.set(job.owner)
        try:
            await self._run_pipeline(job)
            if self.store.end(job.id, "succeeded"):
                self.store.log(job.id, "finished")
        except asyncio.CancelledError:
            raise
        except CollegiumError as error:
            _log.error("job %s: %s", job.id, error)
            self._fail(job, refusals.message_of(error))
        except Exception as error:
            _log.exception("job %s failed", job.id)
            self._fail(job, f"internal error: {type(error).__name__}; the server's log has it")

    async def _run_pipeline(self, job: Job) -> None:
        pipeline, _ = named(job.pipeline)
        resolved = await asyncio.to_thread(self._references.resolved, job.owner, job.request)
        request = pipeline.request.model_validate(resolved)
        folder = pipeline.folder(self._collegium.context(), request)
        self.store.place(job.id, str(folder.path.absolute()))
        self.store.log(job.id, f"started: {pipeline.name}, folder {folder.path.name}")
        replies, written = 0, 0.0

        def done() -> None:
            nonlocal replies, written
            replies += 1
            if time.monotonic() - written > TICK:
                written = time.monotonic()
                self.store.progress(job.id, replies)

        allowed = self._collegium.config.budget
        budget = _tighter(BudgetConfig.model_validate(job.budget), allowed) if job.budget else allowed
        context = self._collegium.context(done, lambda text: self.store.log(job.id, text), budget)
        try:
            await pipeline.execute(request, context, folder)
        finally:  # however it ends: those of the last half second, too
            self.store.progress(job.id, replies)
        self.store.log(job.id, f"{replies} replies")

    def _fail(self, job: Job, why: str) -> None:
        if self.store.end(job.id, "failed", why):
            self.store.log(job.id, why)


def _refuse_second_engine(experts: Sequence[str], collegium: Collegium) -> None:
    """Raises `BadInput` for a check of local experts: it loads each of them into an engine of its own, for which nobody
    kept memory beside the service's workers."""
    local = [name for name in experts or collegium.experts if _is_local(collegium, name)]
    if local:
        raise BadInput(
            f"request.experts: {local[0]!r} would be loaded a second time beside the service's workers: name remote "
            "experts only, or run `collegium experts check` where no service holds the memory"
        )


def _is_local(collegium: Collegium, name: str) -> bool:
    expert = collegium.experts.get(name)
    return expert is not None and expert.remote is None and expert.script is None


def _tighter(one: BudgetConfig, other: BudgetConfig) -> BudgetConfig:
    """The smaller limit of both, for tokens and for dollars."""
    return BudgetConfig(
        tokens=min((limit for limit in (one.tokens, other.tokens) if limit is not None), default=None),
        dollars=min((limit for limit in (one.dollars, other.dollars) if limit is not None), default=None),
    )


def over(job: Job) -> bool:
    """True if the job has ended."""
    return job.status in OVER
