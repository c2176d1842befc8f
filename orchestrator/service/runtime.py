"""What the application stands on: the zoo and its pool, the router, the jobs, the keys."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Self

from orchestrator.chats.experts import ask_expert
from orchestrator.chats.routing import Routing
from orchestrator.collegium import Collegium
from orchestrator.config import Config, ServiceConfig
from orchestrator.database import Database
from orchestrator.errors import BadInput, CollegiumError, ConfigError
from orchestrator.inference.budget import BudgetPool
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Sampling
from orchestrator.inference.schedule.groups import kind_of
from orchestrator.private_files import private_file
from orchestrator.service.accounts import Accounts
from orchestrator.service.batch_store import BatchStore
from orchestrator.service.batches import Batches
from orchestrator.service.file_store import FileStore
from orchestrator.service.job_store import JobStore
from orchestrator.service.jobs import Jobs
from orchestrator.service.key_table import KeyTable
from orchestrator.service.keys import KeyFile, Keys, KeyStore
from orchestrator.service.model_list import ModelList
from orchestrator.service.references import References
from orchestrator.service.reloading import changed
from router.embedding import EmbeddingError
from router.routers import check

_log = logging.getLogger("collegium")
MAX_CRASHES, RETRY_SECONDS = 5, 60.0
"""Defaults of `workers.max_crashes` and `workers.retry_seconds` in a service."""
RETRY = 5.0
"""Seconds between tries to start Ray, or to join it."""


class ServiceRuntime:
    """What one service process shares. One per state folder: a lock file ensures it, since two would run the same
    jobs."""

    def __init__(
        self,
        config: Config,
        pool: Pool | None = None,
        *,
        patience: float = 0.0,
        reread: Callable[[], Config] | None = None,
        warm: bool = False,
    ) -> None:
        """`pool`: workers of the caller's own. `patience`: seconds to wait for another that uses the state folder, and
        may be about to end. `reread`: the configuration as it is now, for `reload`. `warm`: get ready for discussions
        too (`warm_up`), where there is a mixture before the service says that it is ready, else after it. Raises
        `ConfigError` and whatever `Collegium` raises for bad input; nothing heavy starts here."""
        self.config = for_service(config)
        self.collegium = Collegium(
            self.config, pool=pool, layer=lambda workers: BudgetPool(workers, self.accounts.current)
        )
        self._reread = reread
        self._warm = warm
        check_service(self.config.service, self.collegium.experts)
        self.keys = Keys(*key_stores(self.config))
        self.started = False
        """There is a pool: chats can wait for its workers."""
        self.ready = False
        self.draining = False
        self._lock = _locked(self.collegium.state / "service.lock", patience)
        self.database = Database(self.config.database, self.collegium.state / "service.sqlite")
        self.accounts = Accounts(self.database, self.keys.of_id)
        runner = _name(self._lock)
        self.routing = Routing(self.collegium, self.database, warm=warm)
        if self.config.database is not None:
            _name_unused(self.collegium.state, self.database.name)
        # Its own connections: `Jobs` closes them. In the state folder it is a file of its own, as it always was.
        jobs = JobStore(Database(self.config.database, self.collegium.state / "jobs.sqlite"), runner)
        references = References(self.collegium.state / "uploads", FileStore(self.database), jobs)
        self.jobs = Jobs(self.collegium, jobs, references)
        self._batches = Batches(BatchStore(self.database, runner), ModelList(self), self)
        self._preparing: asyncio.Task[None] | None = None
        self._running_batches: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start workers, preload, and go on with interrupted jobs. Needs a running loop."""
        self.routing.open()
        self._preparing = asyncio.get_running_loop().create_task(self._prepare())

    def reload(self) -> list[str]:
        """See `Runtime`."""
        found: list[str] = []
        if self._reread is not None:
            new = for_service(self._reread())
            found = changed(self.config, new)
            check_service(new.service, self.collegium.experts)
            self.config = new
            self.collegium.config = new
        self.keys.reload()
        return found

    def look_for_batches(self) -> None:
        """See `Runtime`."""
        self._batches.look()

    async def close(self) -> None:
        """Stop everything. Jobs under way stay queued and go on at the next start."""
        self.draining, self.ready = True, False
        for task in (self._preparing, self._running_batches):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.routing.close()
        await asyncio.to_thread(self.jobs.close)
        await asyncio.to_thread(self.collegium.close)
        await asyncio.to_thread(self.accounts.close)
        await asyncio.to_thread(self.keys.close)
        self.database.close()
        os.close(self._lock)

    async def _prepare(self) -> None:
        while not self.started:
            try:
                pool = await asyncio.to_thread(lambda: self.collegium.pool)
                self.started = True
            except Exception:
                _log.exception("the workers cannot be made; trying again in %s seconds", RETRY)
                await asyncio.sleep(RETRY)
        try:
            pool.start()
            self.jobs.start()
            self._running_batches = asyncio.create_task(self._batches.run())
            kinds = {kind_of(expert, self.config.workers) for expert in self.collegium.experts.values()}
            while not kinds <= (await pool.load()).kinds:
                await asyncio.sleep(0.05)
            for name in [*self.config.workers.pin, *self.config.service.preload]:
                await self._preload(name)
            await self.routing.looked()
            if self._warm and self.routing.why_not() is None:
                await asyncio.to_thread(warm_up, self.collegium)
            self.ready = True
            if self._warm:
                await asyncio.to_thread(warm_up, self.collegium)
                # What a start leaves stays: to look through it again and again would stop every stream meanwhile.
                gc.collect()
                gc.freeze()
        except Exception:
            _log.exception("the service cannot get ready")

    async def _preload(self, name: str) -> None:
        """Have the expert loaded: by the shortest question, which the ledger cannot know."""
        question = [("user", secrets.token_hex(8))]
        try:
            async for _ in ask_expert(
                self.collegium.pool, self.collegium.experts[name], question, Sampling(max_tokens=1)
            ):
                pass
        except CollegiumError as error:
            _log.error("service.preload: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run(self.close())


def warm_up(collegium: Collegium) -> None:
    """What a discussion's first question would wait for otherwise: LangChain, and the embedder, by which answers to
    open questions are grouped. Blocks for seconds; workers start in processes of their own."""
    import orchestrator.inference.chat  # noqa: F401

    try:
        collegium.embedder.load()
    except EmbeddingError as error:
        _log.warning("the embedder cannot be loaded; embeddings, mixtures and open discussions fail: %s", error)


def check_service(service: ServiceConfig, experts: Container[str]) -> None:
    """Raises `ConfigError` for experts and a router that there are not."""
    for name in service.preload:
        if name not in experts:
            raise ConfigError(f"service.preload: no expert {name!r} in the zoo")
    if service.default is not None and service.default not in experts:
        raise ConfigError(f"service.default: no expert {service.default!r} in the zoo")
    try:
        check(service.router)
        if service.router == "skills":
            raise ValueError("skills: what is asked of a service has no tags; take another router")
    except ValueError as error:
        raise ConfigError(f"service.router: {error}") from error


def for_service(config: Config) -> Config:
    """The configuration with a service's defaults: workers take turns, since a service's requests never end, and a
    failed expert or worker is retried, since it may be repaired while the service runs."""
    workers = config.workers
    defaults = {"turn": config.service.turn, "max_crashes": MAX_CRASHES, "retry_seconds": RETRY_SECONDS}
    unset = {name: value for name, value in defaults.items() if getattr(workers, name) is None}
    return config.model_copy(update={"workers": workers.model_copy(update=unset)})


def key_stores(config: Config) -> tuple[KeyStore, ...]:
    """Where keys are kept; the last one takes new ones. The file counts beside the database. Raises `StorageError`."""
    given = config.service.keys
    file = KeyFile(Path(given).expanduser() if given else Path(config.state).expanduser() / "keys.json")
    if config.database is None:
        return (file,)
    return file, KeyTable(Database(config.database, file.path))


@contextlib.contextmanager
def open_key_stores(config: Config) -> Iterator[tuple[KeyStore, ...]]:
    """`key_stores`, closed at the end."""
    stores = key_stores(config)
    try:
        yield stores
    finally:
        for store in stores:
            store.close()


def check_address(host: str, keys: Keys) -> None:
    """Raises `ConfigError` where everybody could reach a service without keys."""
    if host not in ("127.0.0.1", "localhost", "::1") and not keys.needed:
        raise ConfigError(
            f"service.host: {host} can be reached from other machines, and there are no API keys: make one with "
            "`collegium keys create NAME`, or listen on 127.0.0.1"
        )


def _name_unused(state: Path, database: str) -> None:
    """Warn of files that were in use before there was a database."""
    for name in ("jobs.sqlite", "service.sqlite", "ledger.sqlite"):
        if (state / name).exists():
            _log.warning("%s: not used: what it holds is kept in %s from now on", state / name, database)


def _name(lock: int) -> str:
    """This service's name in leases: of the machine, and what the state folder's lock file holds from its first use on.
    While the file is locked nobody else has it."""
    if not (token := os.pread(lock, 64, 0)):
        token = secrets.token_hex(16).encode()
        os.pwrite(lock, token, 0)
    return f"{socket.gethostname()[:64]}-{token.decode('ascii', 'replace')}"


def _locked(path: Path, patience: float) -> int:
    handle = os.open(private_file(path), os.O_RDWR)
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            if time.monotonic() < end:
                time.sleep(0.2)
                continue
            os.close(handle)
            raise BadInput(f"{path}: another service uses this state folder: give this one its own `state:`") from error
