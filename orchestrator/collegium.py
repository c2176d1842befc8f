"""`Collegium`: the Python face of everything. Its methods for pipelines are `PipelineMethods`."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BaseModel

from orchestrator.config import DEMO_ZOOS, BudgetConfig, Config, read, validate
from orchestrator.errors import BadInput, ConfigError, SetupError
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.report.formats import plain
from orchestrator.experts.zoo import resolve
from orchestrator.inference.budget import Budget, BudgetPool
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.schedule.groups import kind_of
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.ledger_rows import LedgerStorage
from orchestrator.inference.schedule.placement import engine_name, queue_of, retry_limits, worker_specs
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.scheduler import Policy
from orchestrator.inference.schedule.timeline import PoolProgress
from orchestrator.methods import PipelineMethods
from orchestrator.notebook import notebook_progress
from orchestrator.pipeline_calls import quiet, wait
from orchestrator.pipelines.given import understood
from orchestrator.pipelines.registry import named
from router.embedding import DEFAULT_MODEL, Embedder, EmbeddingError

if TYPE_CHECKING:
    from orchestrator.chats.method_chat import LocalChats
    from orchestrator.client import RemoteCollegium
    from orchestrator.inference.chat_model import BatchedChatModel
    from orchestrator.pipelines.distill import DistillRequest
    from orchestrator.pipelines.distill_compare import DistillResult
    from router.ranking import Ranking


class Collegium(PipelineMethods):
    """A zoo of experts, ready to answer. Workers start when the first question needs them.

        with Collegium("collegium.yaml") as collegium:
            print(collegium.chat("letters").invoke("What is the last letter of 'Ray'?").content)
            result = collegium.run(task="mixed", methods=["best", "mixture"])

    Errors in the configuration or in an expert's files are raised here, before anything heavy starts.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | Path = "demo",
        *,
        pool: Pool | None = None,
        check: bool = True,
        layer: Callable[[Pool], Pool] = lambda pool: pool,
    ) -> None:
        """`config`: a YAML file, a mapping of the same form, or "demo" or "demo2" for a demo zoo. `pool`: workers
        that are there already (of a Ray cluster's scheduler), closed by whoever made it. `check`: look at the experts'
        files now; otherwise when one is first needed. `layer`: what stands before the workers' pool for every
        caller."""
        self.config = _configuration(config)
        if check:
            _ = self.experts
        self._given = pool
        self._layer = layer
        self._own: LocalPool | None = None
        self._pool_lock = threading.Lock()
        self.step = ""
        """What a running pipeline said last that it does."""

    @staticmethod
    def connect(
        url: str,
        key: str | None = None,
        *,
        runs: str | Path = "runs",
        budget: BudgetConfig | Mapping[str, Any] | None = None,
    ) -> RemoteCollegium:
        """A service elsewhere, with the same methods. `runs`: folder for what its jobs leave. `budget`: `tokens` and
        `dollars` that each job may spend. Raises `BadInput` for a URL or a budget that cannot be."""
        from orchestrator.client import RemoteCollegium

        return RemoteCollegium(url, key, runs=runs, budget=budget)

    @property
    def state(self) -> Path:
        """The folder of the ledger and the embedding cache."""
        return Path(self.config.state).expanduser()

    @property
    def engine(self) -> str:
        """The engine in which local experts run."""
        return engine_name(self.config.workers)

    @functools.cached_property
    def experts(self) -> dict[str, Expert]:
        """The experts by name, their files checked."""
        return resolve(self.config)

    @functools.cached_property
    def embedder(self) -> Embedder:
        """Texts to vectors, cached in the state folder."""
        return embedder_of(self.config)

    @property
    def pool(self) -> Pool:
        """The workers and the scheduler, made on first use. Thread-safe."""
        with self._pool_lock:
            return self._layer(self._given or self._made_pool())

    def _made_pool(self) -> LocalPool:
        if self._own is None:
            made = worker_specs(self.config.workers, self.experts.values())
            queues = functools.partial(queue_of, workers=self.config.workers)
            kinds = functools.partial(kind_of, workers=self.config.workers)
            policy = Policy(turn=self.config.workers.turn)
            ledger = Ledger(self._ledger_storage())
            limits = retry_limits(self.config.workers)
            self._own = LocalPool(made, ledger, kind_of=kinds, queue_of=queues, policy=policy, retry_limits=limits)
            atexit.register(self.close)  # the last comes first: before Ray, which has been imported, leaves
        return self._own

    def _ledger_storage(self) -> LedgerStorage | Path:
        file = self.state / "ledger.sqlite"
        if self.config.database is None:
            return file
        from orchestrator.database import Database
        from orchestrator.inference.schedule.ledger_table import LedgerTable

        return LedgerTable(Database(self.config.database, file))

    def context(
        self,
        done: Callable[[], None] = quiet,
        note: Callable[[str], None] = quiet,
        budget: BudgetConfig | None = None,
    ) -> Context:
        """What pipelines work with. `done` is called once per finished reply, `note` with a line per new step.
        `budget`: in place of the configuration's."""
        budget = budget or self.config.budget

        @functools.cache
        def pool() -> Pool:
            return (
                BudgetPool(self.pool, Budget(budget.tokens, budget.dollars))
                if budget.tokens or budget.dollars
                else self.pool
            )

        return Context(self.config, lambda: self.experts, pool, lambda: self.embedder, done, note)

    @property
    def progress(self) -> PoolProgress | None:
        """What the workers are doing; None before the first question."""
        pool = self._given or self._own
        return pool.timeline.progress() if pool else None

    def chat(self, model: str, **settings: Any) -> BatchedChatModel:
        """An expert, `mixture`, `fusion` or another method as a LangChain chat model; `settings` as in `ExpertChat` and
        `MethodChat` (max_tokens, temperature, ...). An expert goes before a method of its name. Raises `BadInput` for
        what is neither."""
        if model in self.experts:
            from orchestrator.inference.chat import ExpertChat

            return ExpertChat(pool=self.pool, expert=self.experts[model], **settings)
        from orchestrator.chats.method_chat import MethodChat

        if model not in self._chats.methods:
            methods = ", ".join(self._chats.methods)
            raise BadInput(f"no expert or method {model!r}; the zoo has {', '.join(self.experts)}; methods: {methods}")
        return MethodChat(chats=self._chats, method=model, **settings)

    @functools.cached_property
    def _chats(self) -> LocalChats:
        from orchestrator.chats.method_chat import LocalChats
        from orchestrator.chats.routing import Routing

        return LocalChats(self, Routing(self))

    async def aexecute(
        self,
        pipeline: str,
        request: BaseModel | None = None,
        *,
        done: Callable[[], None] = quiet,
        note: Callable[[str], None] = quiet,
        **options: Any,
    ) -> Any:
        """Run a pipeline, given its request or the request's fields; its results are kept in a run folder (`runs`).
        `done` is called once per finished reply, `note` with a line per new step. Raises `BadInput` for an unknown
        pipeline or field, `SetupError` without an embedding model, and what the pipeline raises."""
        found, old = named(pipeline)
        if old:
            warnings.warn(old, FutureWarning, stacklevel=2)
        asked = found.checked(request, understood(found.request, options, self.state / "questions"))

        stopped = threading.Event()

        def noted(line: str) -> None:
            if stopped.is_set():  # a thread that goes on after the run was cancelled, as trainings do
                raise asyncio.CancelledError(f"{pipeline} was cancelled")
            self.step = plain(line)
            note(line)

        context = self.context(done, noted)
        folder = found.folder(context, asked) if found.keeps else None
        try:
            async with notebook_progress(self) if found.asks else contextlib.nullcontext():
                result = await found.execute(asked, context, folder)
        except asyncio.CancelledError:
            stopped.set()
            raise
        except EmbeddingError as error:
            raise SetupError(f"embedding: {error}") from error
        finally:
            self.step = ""
        found.stored.deliver(asked, result)
        return result

    def run_folder(self, pipeline: str, request: BaseModel, *, fresh: bool = False) -> Path:
        """Where a pipeline keeps the results of this request; `fresh` empties it (the ledger stays)."""
        found, _ = named(pipeline)
        return found.folder(self.context(), request, fresh=fresh).path

    async def arank(self, questions: Sequence[str]) -> list[Ranking]:
        """Experts for each question, best first, with reasons, by the newest profile. Raises `NotReady` without."""
        from orchestrator.evaluation.route import rank

        try:
            return await asyncio.to_thread(rank, questions, self.context())
        except EmbeddingError as error:
            raise SetupError(f"embedding: {error}") from error

    def rank(self, questions: Sequence[str]) -> list[Ranking]:
        """As `arank`, from ordinary code."""
        return wait(self.arank(questions))

    async def adistil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """The old name of `adistill`; it goes with the next version."""
        return cast("DistillResult", await self.aexecute("distil", request, **options))

    def distil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """The old name of `distill`; it goes with the next version."""
        return wait(self.adistil(request, **options))

    def close(self) -> None:
        """Stop the workers. Idempotent; what was generated stays in the ledger. A program that ends without it is
        taken to have called it."""
        if (chats := self.__dict__.pop("_chats", None)) is not None:
            chats.loop.close()
        if self._own is not None:
            self._own.close()
            self._own.ledger.close()
            self._own = None
            atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def embedder_of(config: Config) -> Embedder:
    """The embedder that the configuration names, cached in its state folder."""
    model = DEFAULT_MODEL if config.embedding in DEFAULT_MODEL else config.embedding
    return Embedder(model, cache=Path(config.state).expanduser())


def _configuration(config: Config | Mapping[str, Any] | str | Path) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return validate(config, Path("configuration").absolute())
    if str(config) in DEMO_ZOOS:
        return validate({"zoo": str(config)}, Path(str(config)).absolute())
    path = Path(config).expanduser().absolute()
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    return read(path)
