"""The route pipeline: questions in, rankings of experts with reasons out. No engine, no worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from orchestrator.config import Config
from orchestrator.errors import BadInput, NotReady
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.costs import fit_router
from orchestrator.evaluation.mixture.default_expert import default_expert
from orchestrator.evaluation.mixture.fit import for_experts
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.store import MixtureStore
from orchestrator.evaluation.tasks import Columns
from orchestrator.evaluation.tasks.source import QuestionSource
from router.embedding import Embedder, Features
from router.ranking import Ranking
from router.routers import FittedRouter
from router.row import TableError
from router.table import Table

MAX_QUESTIONS = 100_000
LONGEST = 100_000
"""Characters of a question."""


class FittingRequest(FittingOptions):
    """What a router is fitted on."""

    experts: list[str] = Field(
        default_factory=list,
        description="Experts to rank (default: all of the table); one without rows is ranked by its prior.",
    )
    skills_from: list[str] = Field(
        default_factory=list,
        description="Keys of the table that serve as skills, such as category,src (default: `skills`).",
    )


class RouteRequest(FittingRequest):
    """Which experts should answer a question, and why? Needs no engine: a correctness table says who is good at
    what."""

    question: str | None = Field(default=None, description="One question.")
    questions: str | None = Field(default=None, description="File of questions, as for --task.")
    skills: list[str] = Field(default_factory=list, description="Skills that the one question needs, if known.")
    table: str | None = Field(default=None, description="Correctness table (default: that of the last profile or run).")
    save: str | None = Field(default=None, description="Keep the fitted router in this folder.")
    saved: str | None = Field(default=None, description="Rank with the router in this folder; nothing is fitted.")

    @model_validator(mode="after")
    def _something_to_ask(self) -> RouteRequest:
        if (self.question is None) == (self.questions is None):
            raise ValueError("question: give one question (-q TEXT) or a file (--questions FILE)")
        if self.question is not None:
            check_question(self.question, "question")
        fitting = {"router", "table", "save", "seed", "skills_from", "experts", "quality", "spend", "costs"}
        if self.saved is not None and (both := fitting & self.model_fields_set):
            raise ValueError(f"saved: a saved router is not fitted again; leave out {', '.join(sorted(both))}")
        return self


@dataclass(frozen=True, slots=True)
class RoutedQuestion:
    """A question to be routed."""

    id: str
    question: str
    skills: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoutingResult:
    """A ranking a question, and what it rests on."""

    asked: tuple[RoutedQuestion, ...]
    rankings: tuple[Ranking, ...]
    router: str
    source: str
    """What it rests on: a correctness table, or the folder of a saved router."""


def route(request: RouteRequest, context: Context) -> RoutingResult:
    """Rank experts for every question, by a router fitted on the table or by a saved one. Raises `BadInput` for what
    cannot be used."""
    asked, config, embedder = _asked(request), context.config, context.embedder
    if request.saved is not None:
        return _ranked(asked, _read(request.saved), embedder, Path(request.saved).name, request.saved)
    path = Path(request.table).expanduser() if request.table else last_table(config)
    table = read_table(path)
    names = request.experts or [*table.experts, *_new_experts(table, config)]
    router = fitted(table, names, request, embedder)
    if request.save is not None and not isinstance(router, FittedRouter):
        raise BadInput(f"save: the router {request.router} cannot be saved: it is no FittedRouter")
    if request.save is not None:
        try:
            router.save(Path(request.save).expanduser())
        except OSError as error:
            raise BadInput(f"save: {error}") from error
    return _ranked(asked, router, embedder, request.router, f"{len(table.rows)} questions of {path}")


def rank(questions: Sequence[str], context: Context) -> list[Ranking]:
    """Experts for each question by the mixture that is fitted on the newest profile, as a
    service ranks them. Raises `NotReady` where there is
    none, `BadInput` for a question that nobody can route."""
    try:
        for text in questions:
            check_question(text, "questions")
    except ValueError as error:
        raise BadInput(str(error)) from error
    try:
        table = for_experts(read_table(last_table(context.config)), list(context.config.experts))
    except BadInput as error:
        raise NotReady(str(error)) from error
    store = MixtureStore.of_state(context.config.state)
    mixture = store.fitted(table, FittingOptions(), context.embedder)
    try:
        features = context.embedder.asked(list(questions), [""] * len(questions))
    except ValueError as error:
        raise BadInput(str(error)) from error
    return mixture.rank(features, default_expert(mixture, context.experts, context.config.service.default))


def _ranked(
    asked: tuple[RoutedQuestion, ...], router: FittedRouter, embedder: Embedder, name: str, source: str
) -> RoutingResult:
    features = _embedded(embedder, [one.question for one in asked], [one.skills for one in asked])
    try:
        return RoutingResult(asked, tuple(router.rank(features)), name, source)
    except (ValueError, KeyError) as error:
        raise BadInput(f"{source}: this router cannot rank these questions: {error}") from error


def _read(folder: str) -> FittedRouter:
    try:
        return FittedRouter.load(Path(folder).expanduser())
    except ValueError as error:
        raise BadInput(f"saved: {error}") from error


def fitted(table: Table, experts: Sequence[str], request: FittingRequest, embedder: Embedder) -> FittedRouter:
    """The router on this table, for these experts: those that the table does not know are ranked by their prior.
    Raises `BadInput` if it knows none of them."""
    table = for_experts(table, experts)
    features = _embedded(embedder, table.questions, table.skills(request.skills_from))
    return fit_router(request.router, table, features, request, request.seed)


def read_table(path: Path) -> Table:
    """A correctness table. Raises `BadInput` naming file, row and key."""
    try:
        return Table.read(path)
    except TableError as error:
        raise BadInput(str(error)) from error


def last_table(config: Config) -> Path:
    """The correctness table of the newest finished profile or run. Raises `BadInput` if there is none."""
    folder = Path(config.runs).expanduser()
    tables = [path for path in folder.glob("*/table.jsonl") if (path.parent / "finished").exists()]
    if not tables:
        raise BadInput(f"{folder}: no profile yet: run `collegium profile`, or name a correctness table with --table")
    return max(tables, key=lambda path: (path.stat().st_mtime, path))


def check_question(text: str, where: str) -> None:
    """Raises ValueError for a question that nobody can route."""
    if not text.strip():
        raise ValueError(f"{where}: the question is empty")
    if len(text) > LONGEST:
        raise ValueError(f"{where}: the question has {len(text):,} characters; at most {LONGEST:,} are read")


def _new_experts(table: Table, config: Config) -> list[str]:
    """Experts of the zoo that joined after the table was made; none if the table is of another zoo."""
    here = set(table.experts) & set(config.experts)
    return [name for name in config.experts if name not in table.experts] if here else []


def _embedded(embedder: Embedder, questions: Sequence[str], skills: Sequence[tuple[str, ...]]) -> Features:
    try:
        return embedder.features(questions, skills)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _asked(request: RouteRequest) -> tuple[RoutedQuestion, ...]:
    if request.question is not None:
        return (RoutedQuestion("1", request.question, tuple(request.skills)),)
    asked: list[RoutedQuestion] = []
    for question in QuestionSource.of_files(str(request.questions), Columns()).questions():
        if len(asked) == MAX_QUESTIONS:
            raise BadInput(f"{request.questions}: more than {MAX_QUESTIONS:,} questions")
        asked.append(RoutedQuestion(question.id, question.question, question.skills))
    return tuple(asked)
