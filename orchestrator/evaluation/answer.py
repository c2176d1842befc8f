"""The answer pipeline: any methods on any task, compared on the same questions -> report.

Where a method needs fitting, experts first answer the validation split; what is reported is always another split.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from agents.question import Question
from orchestrator.config import Config
from orchestrator.errors import BadInput, StorageError
from orchestrator.evaluation import decisions
from orchestrator.evaluation.answer_rows import LETTERS, answer_rows, letters
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.comparisons import comparisons
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.discussing import own_discussion
from orchestrator.evaluation.discussion_report import chosen_transcripts, discussion_results
from orchestrator.evaluation.judging import JudgeOptions, as_chat, judged_methods, judging_of
from orchestrator.evaluation.methods import METHODS, Method, MethodOptions, MethodOutcome, Setting
from orchestrator.evaluation.methods.aggregators import aggregator
from orchestrator.evaluation.methods.discussion import own_method
from orchestrator.evaluation.methods.fusion import fusion_methods
from orchestrator.evaluation.metrics import METRICS, figures, metrics_named
from orchestrator.evaluation.outcomes import check_scored, counts, failure_lines
from orchestrator.evaluation.profile import (
    AskingRequest,
    Profile,
    ProfileRequest,
    Replies,
    accuracy,
    chosen,
    profile,
    questions_of,
    rate,
)
from orchestrator.evaluation.report.data import (
    Cost,
    MethodResult,
    ReportResidency,
    RunReport,
)
from orchestrator.evaluation.samples import samples_of
from orchestrator.evaluation.scoring import scored
from orchestrator.extensions import extension
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import price, total
from orchestrator.inference.schedule.timeline import Timeline
from orchestrator.run_folder import engine_version, machine, manifest

if TYPE_CHECKING:
    from pandas import DataFrame

ANSWERS = "answers.parquet"
"""In a run folder: one row per method and question."""


class RunRequest(AskingRequest, MethodOptions, JudgeOptions):
    """Answer a split with one or more methods, and compare them."""

    methods: list[str] = Field(
        default_factory=lambda: ["each", "best", "vote", "mixture"],
        min_length=1,
        description=f"{', '.join(method.name for method in METHODS)}, your own; several with commas.",
    )
    split: str = Field(default="test", description="The split to report on.")
    questions: int = Field(default=200, ge=1, le=1_000_000, description="Number of questions from that split.")
    fit_split: str = Field(default="validation", description="The split on which methods are fitted.")
    fit_questions: int = Field(default=200, ge=1, le=1_000_000, description="Number of fitting questions.")
    score: str | None = Field(
        default=None,
        description="Function that says whether an answer is right: module:function, or an entry point's name "
        "(default: by the question's kind).",
    )
    metrics: list[str] = Field(
        default_factory=list,
        description=f"Figures beside accuracy: {', '.join(METRICS)}, your own; several with commas.",
    )
    compare: bool = Field(default=False, description="Add every baseline that a discussion must beat, on three seeds.")
    budget: int | None = Field(default=None, ge=1, description="With compare: maximum tokens in all.")

    @model_validator(mode="after")
    def _honest(self) -> RunRequest:
        if self.split == self.fit_split:
            raise ValueError(f"fit_split: cannot fit and report on the same split ({self.split})")
        return self


@dataclass(frozen=True)
class RunResult:
    """The report, and behind it every answer of every method and every reply of every expert."""

    report: RunReport
    outcomes: tuple[MethodOutcome, ...]
    replies: Replies
    profile: Profile | None
    folder: Path | None = None
    """Its run folder; None: it has none."""

    def _repr_html_(self) -> str:
        from orchestrator.evaluation.report.page import notebook_frame

        return notebook_frame(self.report)

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one page; it needs no other file. Raises `StorageError` where that cannot be."""
        from orchestrator.evaluation.report import write

        target = Path(path).expanduser()
        try:
            write(self.report, target)
        except OSError as error:
            raise StorageError(f"{target}: {error.strerror or error}") from error
        return target

    def to_pandas(self) -> DataFrame:
        """One row per method and question: `method`, `question`, `outcome`; with `task`, `text`, `gold`, `answer`,
        `confidence`, `experts`, `calls`, `tokens` where the run's answers are at hand, as they are in its folder."""
        import pandas
        import pyarrow.parquet

        if self.outcomes:
            return pandas.DataFrame(answer_rows(self.outcomes))
        if self.folder and (file := self.folder / ANSWERS).is_file():
            return pyarrow.parquet.read_table(file).to_pandas()
        kinds = {letter: kind for kind, letter in LETTERS.items()}
        known = {**self.report.expert_outcomes, **{one.method: one.outcomes for one in self.report.methods}}
        return pandas.DataFrame(
            [
                {"method": name, "question": id, "outcome": kinds[letter]}
                for name, found in known.items()
                for id, letter in zip(self.report.questions, found, strict=True)
                if letter in kinds
            ],
            columns=["method", "question", "outcome"],
        )


AnswerRequest, AnswerResult = RunRequest, RunResult
"""Their old names, which go with the next version."""


async def answer(request: RunRequest, context: Context, *, judges: bool = True) -> RunResult:
    """Run the methods side by side: whatever they ask reaches the scheduler together. Without `judges` nobody is asked
    to judge yet. Raises `BadInput` for names of experts and aggregators that do not exist."""
    seed = context.seed(request.seed)
    asked = {expert.name: expert for expert in chosen(context.experts, request.experts)}
    context = context.only(asked.values())
    if request.recruit and request.recruit > len(asked):
        raise BadInput(f"recruit: cannot pick {request.recruit} of {len(asked)} experts")
    if request.keyword_expert not in (None, *asked):
        raise BadInput(f"keyword_expert: no expert {request.keyword_expert!r}; there are {', '.join(asked)}")
    aggregator(request.aggregator, asked)
    metrics_named(request.metrics, context.config.metrics)
    methods = methods_named(request.methods, context.config)
    if request.confidence == "tokens":
        request = request.model_copy(update={"logprobs": True})
    judging = judging_of(request, request.methods, asked) if judges else None
    task, split, columns = request.task, request.split, request.columns
    notes: list[str] = []
    questions = questions_of(
        task, split, request.questions, seed, columns, request.score, golds=not request.judge, note=notes.append
    )
    questions = scored(questions, request.score)
    questions = [as_chat(question) for question in questions] if request.judge else questions
    chats = questions[0].answer is None

    async def fit() -> Profile | None:
        # Chats without gold answers have no right ones to fit on: methods that can do without a profile do.
        if not any(method.profile == "required" if chats else method.fitted for method in methods):
            return None
        keys = set(AskingRequest.model_fields)
        asking = ProfileRequest(
            **request.model_dump(include=keys | {"score"}), split=request.fit_split, questions=request.fit_questions
        )
        return await profile(asking, context, notes.append)

    async def run(method: Method) -> list[MethodOutcome]:
        found = await fitting if method.fitted else None
        return await method.run(Setting(context, questions, request.sampling, seed, request, found))

    fitting = asyncio.ensure_future(fit())
    try:
        nested = await asyncio.gather(*(run(method) for method in methods))
        found = await fitting
    finally:
        fitting.cancel()
    outcomes = tuple(outcome for part in nested for outcome in part)
    replies = {(one.question.id, one.expert): one for o in outcomes for a in o.answers for one in a.used}
    check_scored(replies)
    findings = Findings(seed, questions, outcomes, replies, found, tuple(dict.fromkeys(notes)))
    report = report_of(request, context, findings)
    if judging:
        report = report.model_copy(update={"judged": await judged_methods(context.pool, judging, outcomes, seed)})
    return RunResult(report, outcomes, replies, found)


def methods_named(names: Sequence[str], config: Config) -> list[Method]:
    """The named methods, a user's own among them, in the order of `METHODS`. Raises `BadInput`."""
    own = [name for name in names if name in config.discussions]
    fusions = fusion_methods(config.fusions)
    replaced = {method.name for method in fusions}
    known = [*(method for method in METHODS if method.name not in replaced), *fusions]
    known += [own_method(name, own_discussion(config.discussions[name], Path.cwd())) for name in own]
    for name in set(names) - {method.name for method in known}:
        if (found := extension("collegium.discussions", name, "--methods")) is not None:
            known.append(own_method(name, found))
    for name in names:
        if name not in {method.name for method in known}:
            every = ", ".join([*(method.name for method in METHODS), *config.fusions, *config.discussions])
            raise BadInput(f"--methods: no method {name!r}; there are {every}")
    return [method for method in known if method.name in names]


@dataclass(frozen=True)
class Findings:
    """What a report is made of: everything that was asked and answered."""

    seed: int
    questions: Sequence[Question]
    outcomes: Sequence[MethodOutcome]
    replies: Replies
    profile: Profile | None
    notes: Sequence[str] = ()
    """Which splits were made."""


def report_of(request: RunRequest, context: Context, findings: Findings) -> RunReport:
    """The report of these findings, of the context's experts."""
    experts, seed, found = context.experts, findings.seed, findings.profile
    questions, outcomes, replies = findings.questions, findings.outcomes, findings.replies
    timeline = context.pool.timeline
    doubts = {name: why for name, why in timeline.uncompared.items() if name in experts}
    everyone = all((question.id, name) in replies for question in questions for name in experts)
    rate_of = _seconds_a_token(timeline)
    failures = failure_lines(replies)
    known = methods_named([*(method.name for method in METHODS), *request.methods], context.config)
    reference = {method.name for method in known if method.reference}
    metrics = metrics_named(request.metrics, context.config.metrics)
    ids = [question.id for question in questions]
    golds = any(question.answer is not None for question in questions)
    return RunReport(
        questions=ids,
        expert_outcomes={one.name: letters(one.answers, ids) for one in outcomes if one.role == "expert"},
        title=f"{request.task}: {', '.join(request.methods)}",
        command=" ".join(["collegium", *sys.argv[1:]]),
        created=datetime.now(UTC),
        split=request.split,
        fitted_on=request.fit_split if found else "",
        seed=seed,
        methods=[
            _result(outcome, rate_of, experts).model_copy(
                update={
                    "role": "reference" if outcome.name in reference else outcome.role,
                    "outcomes": letters(outcome.answers, ids),
                    "metrics": figures(metrics, outcome.name, outcome.answers, seed),
                }
            )
            for outcome in outcomes
            if outcome.role != "expert"
        ],
        matrix=accuracy(questions, list(experts), replies, request.split, seed) if everyone and golds else None,
        comparisons=comparisons(outcomes, known, seed, metrics) if golds else [],
        timeline=residencies(timeline),
        samples=samples_of(questions, outcomes, replies),
        discussions=discussion_results(outcomes, list(found.replies.values()) if found else [], request.confidence),
        transcripts=chosen_transcripts(outcome.transcripts for outcome in outcomes),
        engine=engine_version(context.engine),
        machine=machine(),
        manifest=manifest(
            {name: expert.fingerprint for name, expert in experts.items()},
            {
                "seed": str(seed),
                "questions": f"{len(questions)} of split {request.split}",
                "fitted on": f"{len(found.table.rows)} of split {request.fit_split}" if found else "nothing",
                "sampling": f"temperature {request.temperature}, at most {request.max_tokens} tokens",
                "embedding": context.config.embedding,
                **({"not compared with transformers": ", ".join(sorted(doubts))} if doubts else {}),
            },
            [name for name, expert in experts.items() if expert.trust_remote_code],
        ),
        decisions=[
            *findings.notes,
            *decisions.of_split(request.task, questions, request.questions, request.split),
            *(decisions.fitted(request.fit_questions, len(found.table.rows), request.fit_split) if found else []),
            *decisions.contexts(experts.values(), context.config),
            *decisions.uncompared(doubts),
            *decisions.cut(replies.values(), request.max_tokens),
        ],
        warnings=failures[:20],
    )


def _result(
    outcome: MethodOutcome, seconds_a_token: Mapping[str, float], experts: Mapping[str, Expert]
) -> MethodResult:
    tasks: dict[str, list[bool]] = {}
    # An answer that nothing is known about is neither right nor wrong.
    answers = [one for one in outcome.answers if one.question.answer is not None or one.failed]
    for one in answers:
        tasks.setdefault(one.question.task, []).extend([one.right] * (not one.failed))
    used = [reply for one in outcome.answers for reply in (*one.used, *one.beside)]
    return MethodResult(
        method=outcome.name,
        accuracies={task: rate(rights) for task, rights in tasks.items()},
        overall=rate(one.right for one in answers if not one.failed),
        counts=counts(one.outcome for one in answers),
        cost=_cost(used, seconds_a_token, experts),
        note=outcome.note,
    )


def _cost(used: Iterable[ExpertReply], seconds_a_token: Mapping[str, float], experts: Mapping[str, Expert]) -> Cost:
    """What the replies cost, or would have cost if the ledger had not had them: seconds are the engine's, at each
    expert's measured speed in this run."""
    replies = [(one.expert, one.completion) for one in used if one.completion]
    return Cost(
        calls=len(replies),
        cached_calls=sum(completion.cached for _, completion in replies),
        prompt_tokens=sum(completion.prompt_tokens for _, completion in replies),
        completion_tokens=sum(completion.completion_tokens for _, completion in replies),
        seconds=sum(completion.completion_tokens * seconds_a_token.get(name, 0.0) for name, completion in replies),
        dollars=total(price(experts[name], completion) if name in experts else None for name, completion in replies),
    )


def _seconds_a_token(timeline: Timeline) -> dict[str, float]:
    busy: dict[str, list[float]] = {}
    for stay in timeline.stays:
        sums = busy.setdefault(stay.expert, [0.0, 0.0])
        sums[0] += stay.busy
        sums[1] += stay.tokens
    return {expert: seconds / tokens for expert, (seconds, tokens) in busy.items() if tokens}


def residencies(timeline: Timeline) -> list[ReportResidency]:
    """The timeline as the report shows it; stays that were cut short while loading are left out."""
    return [
        ReportResidency(
            worker=stay.worker,
            expert=stay.expert,
            way=stay.way,  # type: ignore[arg-type]
            load_start=stay.load_start,
            load_end=stay.load_end,
            end=stay.end or stay.load_end,
            requests=stay.requests,
            tokens=stay.tokens,
        )
        for stay in timeline.stays
        if stay.load_end is not None
    ]
