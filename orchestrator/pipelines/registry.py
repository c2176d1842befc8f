"""The pipelines, one record each. The SDK, the command line, jobs and the generated pages derive from these.

Nothing is imported before it is used: a record names its parts as `module:attribute`. To add a pipeline, write its
request model, its result and its coroutine, add a record, and run `python docs/reference.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import BadInput
from orchestrator.extensions import load

if TYPE_CHECKING:
    from pydantic import BaseModel

    from orchestrator.evaluation.context import Context
    from orchestrator.pipelines.results import Stored
    from orchestrator.run_folder import RunFolder

EVALUATION, PIPELINE = "orchestrator.evaluation", "orchestrator.pipelines"


@dataclass(frozen=True)
class Pipeline:
    """One pipeline: what is asked, what comes of it, and how that lies in a run folder."""

    name: str
    """The same everywhere; with underscores in Python."""
    summary: str
    """One line for lists of commands."""
    request_at: str
    result_at: str
    needs: tuple[str, ...] = ("results.json",)
    """Files of the run folder from which the result can be read."""
    asks: bool = True
    """It asks experts: workers are started."""
    keeps: bool = True
    """It leaves a run folder wherever it runs; otherwise only as a job."""
    writes: tuple[str, ...] = ()
    """Fields that name a file for the caller: written by whoever calls, never by a service."""
    paths: tuple[str, ...] = ()
    """Fields that name files where the pipeline runs."""
    texts: tuple[str, ...] = ()
    """Fields of free text, which is never taken for a path."""
    old: tuple[str, ...] = ()
    """Names of earlier versions, which still work and say so."""
    below: str = ""
    """The command that its own stands below."""

    @property
    def method(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")

    @property
    def command(self) -> str:
        """Its command, as it follows `collegium`."""
        return f"{self.below} {self.name}".strip()

    @property
    def request(self) -> type[BaseModel]:
        """The model of its request."""
        found: type[BaseModel] = load(self.request_at, self.name)
        return found

    @property
    def run(self) -> Callable[[Any, Context, Path], Awaitable[Any]]:
        """Its coroutine: request, context, run folder -> result."""
        found: Callable[[Any, Context, Path], Awaitable[Any]] = load(f"{PIPELINE}.runs:{self.method}", self.name)
        return found

    @property
    def stored(self) -> Stored[Any, Any]:
        """How its result lies in a run folder."""
        found: Stored[Any, Any] = load(f"{PIPELINE}.results:{self.method.upper()}", self.name)
        return found

    def checked(self, request: BaseModel | None, options: Mapping[str, Any]) -> BaseModel:
        """The request, from a model or from its fields, never from both. Raises `BadInput` naming the field."""
        from pydantic import ValidationError

        from orchestrator.config import explain

        if request is not None and options:
            raise BadInput(f"{self.name}: give a request or its fields, not both ({', '.join(options)})")
        model = self.request
        if request is not None:
            if not isinstance(request, model):
                raise BadInput(f"{self.name}: the request must be {model.__name__}, not {type(request).__name__}")
            return request
        try:
            return model.model_validate(dict(options))
        except ValidationError as error:
            raise BadInput(f"{self.name}: {explain(error, model)}") from error

    def folder(self, context: Context, request: BaseModel, *, fresh: bool = False) -> RunFolder:
        """The request's run folder, made if need be. What only the caller writes does not count."""
        from orchestrator.run_folder import RunFolder

        return RunFolder.open(context.config, self.name, request, fresh=fresh, ignore=set(self.writes))

    async def execute(self, request: BaseModel, context: Context, folder: RunFolder | None) -> Any:
        """Run it, and keep the result in the folder."""
        try:
            result = await self.run(request, context, folder.path if folder else Path())
            if folder is not None:
                self.stored.save(folder, result)
                folder.finish()
            return result
        except BadInput:
            if folder is not None:
                folder.discard()
            raise
        finally:
            if folder is not None:
                folder.release()


PIPELINES: Mapping[str, Pipeline] = {
    pipeline.name: pipeline
    for pipeline in (
        Pipeline(
            "profile",
            "Let experts answer a split: who is good at what?",
            f"{EVALUATION}.profile:ProfileRequest",
            f"{EVALUATION}.profile:Profile",
            needs=("table.jsonl", "results.json"),
            writes=("out",),
        ),
        Pipeline(
            "run",
            "Answer a task with one or more methods, and compare them.",
            f"{EVALUATION}.answer:RunRequest",
            f"{EVALUATION}.answer:RunResult",
            paths=("convincing",),
            old=("answer",),
        ),
        Pipeline(
            "route",
            "Which experts should answer a question, and why?",
            f"{EVALUATION}.route:RouteRequest",
            f"{EVALUATION}.route:RoutingResult",
            asks=False,
            keeps=False,
            paths=("questions", "table", "save", "saved"),
            texts=("question", "skills"),
        ),
        Pipeline(
            "eval-router",
            "Judge routers on recorded answers: lift, cost, votes.",
            f"{EVALUATION}.eval_router:EvalRouterRequest",
            "router.evaluate:Evaluation",
            asks=False,
            keeps=False,
            writes=("html",),
            paths=("table", "fit"),
        ),
        Pipeline(
            "prune",
            "Which experts does a mixture not need? What is unlearnt without some?",
            f"{EVALUATION}.prune:PruneRequest",
            f"{EVALUATION}.prune:Pruning",
            asks=False,
            keeps=False,
            writes=("out",),
            paths=("table", "fit"),
        ),
        Pipeline(
            "convincing",
            "Find explanations that change experts' minds, to show in discussions.",
            f"{EVALUATION}.convincing:ConvincingRequest",
            f"{EVALUATION}.convincing:ConvincingResult",
            writes=("out",),
        ),
        Pipeline(
            "cluster",
            "Which experts are alike enough to be merged?",
            f"{PIPELINE}.cluster:ClusterRequest",
            f"{EVALUATION}.report.data:Clustering",
            asks=False,
        ),
        Pipeline(
            "glue",
            "Make a better zoo: cluster, search merges, drop, compare.",
            f"{PIPELINE}.glue:GlueRequest",
            f"{PIPELINE}.glue:GlueResult",
            needs=("results.json", "matrix.json", "table.jsonl", "zoo.yaml"),
            writes=("out",),
        ),
        Pipeline(
            "merge",
            "Merge models into one, by mergekit's YAML.",
            f"{PIPELINE}.merge:MergeRequest",
            "merging.merge:MergeSummary",
            asks=False,
            keeps=False,
            paths=("recipe", "out"),
        ),
        Pipeline(
            "gather",
            "Gather what RegMean and Fisher merging need to know of a model.",
            f"{PIPELINE}.gather:GatherRequest",
            f"{PIPELINE}.gather:GatheredStatistics",
            asks=False,
            keeps=False,
            paths=("model", "texts", "out"),
        ),
        Pipeline(
            "check",
            "Load experts and let them speak; compare them with transformers.",
            f"{PIPELINE}.check:CheckRequest",
            f"{PIPELINE}.check:CheckResult",
            asks=False,
            keeps=False,
            below="experts",
        ),
        Pipeline(
            "train",
            "Train a LoRA expert on generated tasks.",
            f"{PIPELINE}.train:TrainRequest",
            f"{PIPELINE}.train:TrainedExpert",
            asks=False,
            paths=("spec", "out"),
            below="experts",
        ),
        Pipeline(
            "grow",
            "Grow skill experts from questions or documents, and judge them.",
            f"{PIPELINE}.grow:GrowRequest",
            f"{PIPELINE}.grow:GrowResult",
            needs=("results.json", "growth.json"),
            paths=("skills", "out"),
            below="experts",
        ),
        Pipeline(
            "generate",
            "Let a panel discuss training questions, and keep the transcripts.",
            f"{PIPELINE}.distill_generate:GenerateRequest",
            f"{PIPELINE}.distill_generate:Generated",
            needs=("results.json", "transcripts.jsonl.gz"),
            old=("distill-generate",),
        ),
        Pipeline(
            "teach",
            "Teach one student from transcripts.",
            f"{PIPELINE}.teaching:TeachRequest",
            f"{PIPELINE}.distill:Taught",
            asks=False,
            paths=("transcripts",),
        ),
        Pipeline(
            "distill",
            "Teach students what a panel said, test them, report.",
            f"{PIPELINE}.distill:DistillRequest",
            f"{PIPELINE}.distill_compare:DistillResult",
            paths=("transcripts",),
            old=("distil",),
        ),
    )
}


def named(name: str) -> tuple[Pipeline, str]:
    """The pipeline of this name, and a note where the name is one of earlier versions. Raises `BadInput`."""
    plain = name.replace("_", "-")
    if plain in PIPELINES:
        return PIPELINES[plain], ""
    for pipeline in PIPELINES.values():
        if plain in pipeline.old:
            return pipeline, f"{name} is now called {pipeline.name}; the old name goes with the next version"
    raise BadInput(f"pipeline: no pipeline {name[:100]!r}; there are {', '.join(PIPELINES)}")
