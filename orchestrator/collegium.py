"""`Collegium`: the Python face of everything. Sync methods are thin faces over the async ones."""

from __future__ import annotations

import asyncio
import atexit
import functools
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from orchestrator.config import Config, read, validate
from orchestrator.errors import BadInput, ConfigError, RequestError
from orchestrator.evaluation.answer import AnswerRequest, AnswerResult
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import Profile, ProfileRequest
from orchestrator.experts.zoo import resolve
from orchestrator.inference.chat import ExpertChat
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.placement import engine_name, kind_of, queue_of, retry_limits, worker_specs
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.scheduler import Policy
from orchestrator.inference.schedule.timeline import PoolProgress
from orchestrator.run_folder import RunFolder
from router.embedding import DEFAULT_MODEL, Embedder

if TYPE_CHECKING:
    from orchestrator.evaluation.eval_router import EvalRouterRequest
    from orchestrator.evaluation.route import RouteRequest, RoutingResult
    from router.evaluate import Evaluation

if TYPE_CHECKING:
    from orchestrator.pipelines.distill import DistillRequest
    from orchestrator.pipelines.distill_compare import DistillResult
    from orchestrator.pipelines.distill_generate import Generated, GenerateRequest
    from orchestrator.pipelines.glue import GlueRequest, GlueResult

if TYPE_CHECKING:
    from orchestrator.client import RemoteCollegium

T = TypeVar("T")


class Collegium:
    """A zoo of experts, ready to answer. Workers start when the first question needs them.

        with Collegium("collegium.yaml") as collegium:
            print(collegium.chat("letters").invoke("What is the last letter of 'Ray'?").content)
            result = collegium.run(task="mixed", methods=["best", "mixture"])

    Errors in the configuration or in an expert's files are raised here, before anything heavy starts.
    """

    def __init__(self, config: Config | Mapping[str, Any] | str | Path = "demo", *, pool: Pool | None = None) -> None:
        """`config`: a YAML file, a mapping of the same form, or "demo" for the demo zoo. `pool`: workers that are
        there already (of a Ray cluster's scheduler), closed by whoever made it."""
        self.config = _configuration(config)
        self.experts: dict[str, Expert] = resolve(self.config)
        self._given = pool
        self._own: LocalPool | None = None
        self._pool_lock = threading.Lock()

    @staticmethod
    def connect(url: str, key: str | None = None) -> RemoteCollegium:
        """A service elsewhere, with the same methods."""
        from orchestrator.client import RemoteCollegium

        return RemoteCollegium(url, key)

    @property
    def state(self) -> Path:
        """The folder of the ledger and the embedding cache."""
        return Path(self.config.state).expanduser()

    @property
    def engine(self) -> str:
        """The engine in which local experts run."""
        return engine_name(self.config.workers)

    @functools.cached_property
    def embedder(self) -> Embedder:
        """Texts to vectors, cached in the state folder."""
        return embedder_of(self.config)

    @property
    def pool(self) -> Pool:
        """The workers and the scheduler, made on first use. Thread-safe."""
        with self._pool_lock:
            return self._given or self._made_pool()

    def _made_pool(self) -> LocalPool:
        if self._own is None:
            made = worker_specs(self.config.workers, self.experts.values())
            side_by_side = self.engine == "vllm" and _cuda()
            pinned = self.config.workers.pin
            queues = functools.partial(queue_of, side_by_side=side_by_side, pinned=pinned)
            kinds = functools.partial(kind_of, pinned=pinned)
            policy = Policy(turn=self.config.workers.turn)
            ledger = Ledger(self.state / "ledger.sqlite")
            limits = retry_limits(self.config.workers)
            self._own = LocalPool(made, ledger, kind_of=kinds, queue_of=queues, policy=policy, retry_limits=limits)
            atexit.register(self.close)  # the last comes first: before Ray, which has been imported, leaves
        return self._own

    def context(
        self, done: Callable[[], None] = lambda: None, note: Callable[[str], None] = lambda line: None
    ) -> Context:
        """What pipelines work with. `done` is called once per finished reply, `note` with a line per new step."""
        return Context(self.config, lambda: self.experts, lambda: self.pool, lambda: self.embedder, done, note)

    @property
    def progress(self) -> PoolProgress | None:
        """What the workers are doing; None before the first question."""
        pool = self._given or self._own
        return pool.timeline.progress() if pool else None

    def chat(self, expert: str, **settings: Any) -> ExpertChat:
        """An expert as a LangChain chat model; `settings` as in `ExpertChat` (max_tokens, temperature, ...)."""
        if expert not in self.experts:
            raise BadInput(f"no expert {expert!r} in the zoo; it has {', '.join(self.experts)}")
        return ExpertChat(pool=self.pool, expert=self.experts[expert], **settings)

    async def aprofile(
        self, request: ProfileRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> Profile:
        """Let experts answer a validation split; options as in `ProfileRequest`."""
        from orchestrator.evaluation.profile import profile

        request = request or ProfileRequest(**options)
        found = await profile(request, self.context(done))
        if request.out:
            found.table.write(request.out)
        return found

    async def arun(
        self, request: AnswerRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> AnswerResult:
        """Answer a task with one or more methods and compare them; options as in `AnswerRequest`."""
        from orchestrator.evaluation.answer import answer
        from orchestrator.evaluation.compare import compare

        request = request or AnswerRequest(**options)
        return await (compare if request.compare else answer)(request, self.context(done))

    async def aglue(
        self, request: GlueRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> GlueResult:
        """Cluster, merge and select: a better zoo of this one; options as in `GlueRequest`."""
        from orchestrator.pipelines.glue import GlueRequest, glue

        return await glue(request or GlueRequest(**options), self.context(done))

    async def agenerate(
        self, request: GenerateRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> Generated:
        """Let a panel discuss training questions; options as in `GenerateRequest`. Transcripts lie in a run folder."""
        from orchestrator.pipelines.distill_generate import GenerateRequest, generate

        request = request or GenerateRequest(**options)
        folder = RunFolder.open(self.config, "distill-generate", request)
        found = await generate(request, self.context(done), folder.path)
        folder.finish()
        return found

    async def adistil(
        self, request: DistillRequest | None = None, *, done: Callable[[], None] = lambda: None, **options: Any
    ) -> DistillResult:
        """Teach students from transcripts and compare them, in a run folder; options as in `DistillRequest`."""
        from orchestrator.evaluation.report import write
        from orchestrator.pipelines.distill import DistillRequest
        from orchestrator.pipelines.distill_compare import distil

        request = request or DistillRequest(**options)
        folder = RunFolder.open(self.config, "distill", request)
        result = await distil(request, self.context(done), folder.path)
        folder.write("results.json", result.report.model_dump_json(indent=2))
        write(result.report, folder.path / "report.html")
        folder.finish()
        return result

    def profile(self, request: ProfileRequest | None = None, **options: Any) -> Profile:
        """As `aprofile`, from ordinary code."""
        return _wait(self.aprofile(request, **options))

    def run(self, request: AnswerRequest | None = None, **options: Any) -> AnswerResult:
        """As `arun`, from ordinary code."""
        return _wait(self.arun(request, **options))

    def glue(self, request: GlueRequest | None = None, **options: Any) -> GlueResult:
        """As `aglue`, from ordinary code."""
        return _wait(self.aglue(request, **options))

    def generate(self, request: GenerateRequest | None = None, **options: Any) -> Generated:
        """As `agenerate`, from ordinary code."""
        return _wait(self.agenerate(request, **options))

    def distil(self, request: DistillRequest | None = None, **options: Any) -> DistillResult:
        """As `adistil`, from ordinary code."""
        return _wait(self.adistil(request, **options))

    def route(self, request: RouteRequest | None = None, **options: Any) -> RoutingResult:
        """Rank experts for questions, with reasons; options as in `RouteRequest`. Starts no worker."""
        from orchestrator.evaluation.route import RouteRequest, route

        return route(request or RouteRequest(**options), self.context())

    def eval_router(self, request: EvalRouterRequest | None = None, **options: Any) -> Evaluation:
        """Judge routers on a correctness table; options as in `EvalRouterRequest`. Starts no worker."""
        from orchestrator.evaluation.eval_router import EvalRouterRequest, eval_router

        return eval_router(request or EvalRouterRequest(**options), self.context())

    def close(self) -> None:
        """Stop the workers. Idempotent; what was generated stays in the ledger. A program that ends without it is
        taken to have called it."""
        if self._own is not None:
            self._own.close()
            self._own.ledger.close()
            self._own = None
            atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def light_context(config: Config, note: Callable[[str], None] = lambda line: None) -> Context:
    """For pipelines that ask no expert: experts are looked at when one is needed, workers are refused."""

    def workers() -> Pool:
        raise RequestError("this pipeline was given no workers")

    zoo, embedding = functools.cache(lambda: resolve(config)), functools.cache(lambda: embedder_of(config))
    return Context(config, zoo, workers, embedding, note=note)


def embedder_of(config: Config) -> Embedder:
    """The embedder that the configuration names, cached in its state folder."""
    model = DEFAULT_MODEL if config.embedding in DEFAULT_MODEL else config.embedding
    return Embedder(model, cache=Path(config.state).expanduser())


def _configuration(config: Config | Mapping[str, Any] | str | Path) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return validate(config, Path("configuration").absolute())
    if str(config) == "demo":
        return validate({"zoo": "demo"}, Path("demo").absolute())
    path = Path(config).expanduser().absolute()
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    return read(path)


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end from code without a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise RequestError("an event loop is running here (a notebook?): await the method with an `a` in front instead")


def _cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
