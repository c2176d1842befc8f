"""Students tested side by side: against the untaught student, their teachers, and the panel's discussion."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agents.question import Question
from distill.corpus import CorpusSummary
from distill.graph import interaction_graph
from distill.statistics import CorpusStatistics
from orchestrator.config import ExpertConfig
from orchestrator.evaluation.answering import answer_all, is_right
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import Replies, questions_of
from orchestrator.evaluation.report.data import Comparison, Cost, MethodResult, RunReport
from orchestrator.evaluation.report.distilled import ArmResult, Distillation
from orchestrator.evaluation.report.intervals import paired_difference
from orchestrator.evaluation.report.page import notebook_frame
from orchestrator.evaluation.report.record import Interval
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.distill import DistillRequest, Taught, arms, inspect, read_all, teach, with_students
from orchestrator.pipelines.distill_generate import GenerateRequest, discuss
from orchestrator.pipelines.distill_report import curve, gallery, left_out, panel_rounds, persuasion
from orchestrator.pipelines.teaching import steps_of
from orchestrator.run_folder import engine_version, machine, manifest

if TYPE_CHECKING:
    import networkx

UNTAUGHT = "untaught student"
PICTURED = 200
"""Transcripts among which the report's gallery is chosen."""


StudentKind = Literal["untaught", "student", "teacher", "panel"]


@dataclass(frozen=True)
class StudentRow:
    """How one student, teacher or panel did: right or wrong a question, tokens generated."""

    name: str
    scores: tuple[float, ...]
    """One a question: the mean over seeds."""
    generated: float
    """Tokens generated a question."""
    cost: Cost
    note: str
    tasks: tuple[str, ...]
    kind: StudentKind
    single_teacher: bool = False
    """A student that was taught by one teacher alone."""

    def interval(self, task: str | None = None) -> Interval:
        """Accuracy with its interval over questions."""
        return mean([score for score, own in zip(self.scores, self.tasks, strict=True) if task in (None, own)])


def mean(scores: Sequence[float]) -> Interval:
    """Mean of scores with its bootstrap interval over questions."""
    return paired_difference(scores, [0.0] * len(scores))


@dataclass(frozen=True)
class DistillResult:
    """The report, and behind it every student and every row."""

    report: RunReport
    taught: tuple[Taught, ...]
    rows: tuple[StudentRow, ...]

    def _repr_html_(self) -> str:
        return notebook_frame(self.report)


async def distill(request: DistillRequest, context: Context, folder: Path) -> DistillResult:
    """Teach every arm in its own folder below `folder` (those that are finished there are taken), then compare.

    The workers are made when all are taught, so that engines need not wait in memory meanwhile.
    """
    statistics, agents = await asyncio.to_thread(inspect, request.transcripts, CorpusSummary())
    config, experts, taught = context.config, context.experts, []
    for arm, one in arms(request, agents):
        context.note(f"teaching {one.name}")
        steps = steps_of(one.name, context.note)
        taught.append(await asyncio.to_thread(teach, one, folder / one.name, experts=experts, arm=arm, report=steps))
    extended = with_students(config, taught)
    if not any(_is(expert, taught[0]) for expert in experts.values()):
        untaught = {"untaught": ExpertConfig(model=str(taught[0].base))}
        extended = extended.model_copy(update={"experts": {**untaught, **extended.experts}})
    extended_context = dataclasses.replace(context.only(resolve(extended).values()), config=extended)
    rows = await compare(request, taught, extended_context, agents)
    read = itertools.islice(read_all(request.transcripts, CorpusSummary()), PICTURED)
    graphs = [interaction_graph(transcript) for transcript in read]
    found = report(request, taught, rows, statistics, extended_context, graphs)
    return DistillResult(found, tuple(taught), tuple(rows))


async def compare(
    request: DistillRequest, taught: Sequence[Taught], context: Context, agents: Sequence[str] | None = None
) -> list[StudentRow]:
    """Ask all the same test questions: the untaught student first, then every arm, teachers, the panel. `agents`: who
    spoke in the transcripts; experts of the zoo that did not are no teachers, and are not asked (default: all did)."""
    seed, experts = context.config.seed, context.experts
    asked = _questions(request, seed)
    names = {one.request.name for one in taught}
    teachers = [expert for name, expert in experts.items() if name not in names]
    base = next((expert.name for expert in teachers if _is(expert, taught[0])), None)
    sampling = Sampling(max_tokens=request.max_tokens)

    async def panel() -> list[StudentRow]:
        if request.panel is None:
            return []
        return [await _panel(request, asked, context.only(teachers))]

    others = [one.name for one in teachers if one.name != base and (agents is None or one.name in agents)]
    alone = [expert for name, expert in experts.items() if name in {*names, *others, base}]
    replies, discussed = await asyncio.gather(
        answer_all(context.pool, alone, asked, sampling, seed, context.done), panel()
    )
    rows = [_row(UNTAUGHT, "untaught", [base], asked, replies, "before it was taught")] if base else []
    for arm in dict.fromkeys(one.arm for one in taught):
        own = [one.request for one in taught if one.arm == arm]
        note = f"{len(own)} student{'s' if len(own) > 1 else ''}, alone"
        row = _row(f"student {arm}", "student", [one.name for one in own], asked, replies, note)
        rows.append(dataclasses.replace(row, single_teacher=own[0].teacher is not None))
    rows += [_row(f"teacher {name}", "teacher", [name], asked, replies, "alone") for name in others]
    return rows + discussed


def _questions(request: DistillRequest, seed: int) -> list[Question]:
    found = questions_of(request.task, "test", request.questions, seed, request.columns)
    if request.other_task:
        found += questions_of(request.other_task, "test", request.questions, seed, request.columns)
    return found


def _is(expert: Expert, taught: Taught) -> bool:
    return expert.weights is not None and expert.weights.adapter is None and expert.weights.model == taught.base


def _row(
    name: str, kind: StudentKind, who: Sequence[str], asked: Sequence[Question], replies: Replies, note: str
) -> StudentRow:
    found = [[replies[question.id, one] for one in who] for question in asked]
    completions = [reply.completion for part in found for reply in part if reply.completion]
    generated = sum(completion.completion_tokens for completion in completions)
    return StudentRow(
        name=name,
        scores=tuple(sum(reply.right for reply in part) / len(part) for part in found),
        generated=generated / max(1, len(asked) * len(who)),
        cost=Cost(
            calls=len(completions),
            cached_calls=sum(completion.cached for completion in completions),
            prompt_tokens=sum(completion.prompt_tokens for completion in completions),
            completion_tokens=generated,
            seconds=sum(completion.seconds for completion in completions),
        ),
        note=note,
        tasks=tuple(question.task for question in asked),
        kind=kind,
    )


async def _panel(request: DistillRequest, asked: Sequence[Question], context: Context) -> StudentRow:
    wanted = GenerateRequest(
        discussion=request.panel or "",
        rounds=request.panel_rounds,
        experts=request.panel_experts,
        max_tokens=request.max_tokens,
    )
    found = await discuss(wanted, asked, context)
    turns = [turn for one in found for turn in one.turns]
    generated = sum(turn.completion_tokens for turn in turns)
    return StudentRow(
        name=f"panel, {request.panel}",
        scores=tuple(float(is_right(one.question, one.answer)) for one in found),
        generated=generated / max(1, len(asked)),
        cost=Cost(
            calls=len(turns),
            cached_calls=sum(turn.cached for turn in turns),
            prompt_tokens=sum(turn.prompt_tokens for turn in turns),
            completion_tokens=generated,
            seconds=sum(turn.seconds for turn in turns),
        ),
        note=f"{len(found[0].seats)} agents, at most {request.panel_rounds} rounds after the first replies",
        tasks=tuple(question.task for question in asked),
        kind="panel",
    )


def report(
    request: DistillRequest,
    taught: Sequence[Taught],
    rows: Sequence[StudentRow],
    statistics: CorpusStatistics,
    context: Context,
    graphs: Sequence[networkx.DiGraph] = (),
) -> RunReport:
    """All of it on one page."""
    base = next((row for row in rows if row.kind == "untaught"), None)
    students = [row for row in rows if row.kind == "student"]
    single = [row for row in students if row.single_teacher]
    best_single = max(single, key=lambda row: sum(row.scores), default=None)
    comparisons = [
        Comparison(method=row.name, baseline=other.name, difference=paired_difference(row.scores, other.scores))
        for row in sorted(students, key=lambda row: -sum(row.scores))
        for other in (base, best_single)
        if other is not None and other is not row and row not in single
    ]
    return RunReport(
        title=f"distil: {', '.join(request.arms)}",
        command=" ".join(["collegium", *sys.argv[1:]]),
        created=datetime.now(UTC),
        split="test",
        fitted_on="train",
        seed=request.seed,
        methods=[
            MethodResult(
                method=row.name,
                accuracies={task: row.interval(task) for task in dict.fromkeys(row.tasks)},
                overall=row.interval(),
                cost=row.cost,
                note=f"{row.note}; {row.generated:.0f} tokens generated a question",
            )
            for row in rows
        ],
        comparisons=comparisons,
        distillation=Distillation(
            arms=[
                ArmResult(
                    arm=one.arm,
                    seed=one.request.seed,
                    student=one.request.name,
                    lessons=one.sifted.lessons,
                    tokens=one.metrics[-1].tokens if one.metrics else 0,
                    steps=len(one.metrics),
                    epochs=one.epochs,
                    seconds=one.metrics[-1].seconds if one.metrics else 0.0,
                    curve=curve(one.metrics),
                )
                for one in taught
            ],
            rounds=panel_rounds(statistics),
            persuasion=persuasion(statistics),
            gallery=gallery(graphs),
            left_out=left_out(taught[0].sifted) if taught else [],
            transcripts=taught[0].sifted.transcripts if taught else 0,
        ),
        engine=engine_version(context.engine),
        machine=machine(),
        manifest=manifest(
            {name: one.fingerprint for name, one in context.experts.items()},
            {"seed": str(request.seed), "embedding": context.config.embedding},
            [name for name, one in context.experts.items() if one.trust_remote_code],
        ),
    )
