"""What a report shows of a distillation: plain frozen records, as in `data`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from orchestrator.evaluation.report.record import ReportRecord


class CurvePoint(ReportRecord):
    """Mean losses around one step of a training; None: nothing to count, or not looked at."""

    step: int = Field(ge=0)
    tokens: int = Field(ge=0)
    next_token: float | None = None
    node: float | None = None
    margin: float | None = None
    validation: float | None = None


class ArmResult(ReportRecord):
    """One student's training. `arm`: its level, coupling or single teacher."""

    arm: str
    seed: int
    student: str
    lessons: int = Field(ge=0)
    tokens: int = Field(ge=0)
    steps: int = Field(ge=0)
    epochs: float = Field(ge=0)
    seconds: float = Field(ge=0)
    curve: Sequence[CurvePoint] = ()


class RoundResult(ReportRecord):
    """An agent's replies in one round."""

    agent: str
    round: int = Field(ge=0)
    right: int = Field(ge=0)
    wrong: int = Field(ge=0)
    silent: int = Field(ge=0)


class Persuasion(ReportRecord):
    """How often one agent convinced another."""

    who: str
    whom: str
    rightly: int = Field(ge=0)
    wrongly: int = Field(ge=0)


class GraphNode(ReportRecord):
    """A reply in a picture of an interaction graph. `right`: None where that is not known."""

    agent: str
    round: int = Field(ge=0)
    answer: str | None
    right: bool | None
    text: str


class GraphPicture(ReportRecord):
    """One interaction graph; edges join places of `nodes`."""

    id: str
    task: str
    question: str
    gold: str | None
    nodes: Sequence[GraphNode]
    edges: Sequence[tuple[int, int]]


class Distillation(ReportRecord):
    """What students were taught from, and how their training went."""

    transcripts: int = Field(ge=0)
    arms: Sequence[ArmResult]
    rounds: Sequence[RoundResult] = ()
    persuasion: Sequence[Persuasion] = ()
    gallery: Sequence[GraphPicture] = ()
    left_out: Sequence[tuple[str, int, str]] = ()
    """(rule, how often, of which questions: a few)."""
