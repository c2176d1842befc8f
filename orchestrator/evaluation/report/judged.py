"""One method's replies held against another's by judges, as reports keep it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from orchestrator.evaluation.report.record import Interval, ReportRecord


class JudgedPair(ReportRecord):
    """`method` against `against` on the same questions. Rates are of `method`, 0 to 1; 0.5: neither is better."""

    method: str
    against: str
    judges: Sequence[str]
    questions: int = Field(ge=0)
    judged: int = Field(ge=0)
    """Questions on which at least one judge could be read in both orders, and did not just follow the order."""
    wins: int = Field(ge=0)
    ties: int = Field(ge=0)
    losses: int = Field(ge=0)
    unreadable: int = Field(ge=0)
    """Verdicts that could not be read."""
    failed: int = Field(ge=0)
    """Verdicts that never came."""
    calls: int = Field(ge=0)
    """Verdicts that were asked for: two per judge and question, none where both replies are the same."""
    ordered: int = Field(default=0, ge=0)
    """Verdicts that prefer the same place in both orders, which say nothing about the replies."""
    win_rate: Interval | None
    """A tie counts as half; None: nothing could be judged."""
    length_controlled: Interval | None
    """The win rate at equal lengths of the replies."""
    between_judges: float | None = Field(default=None, ge=0, le=1)
    """Share of questions on which two judges agree, over all pairs of judges; None: there is one judge."""
    labelled: int = Field(default=0, ge=0)
    """Judged questions that a person labelled."""
    agreement: float | None = Field(default=None, ge=0, le=1)
    """Share of them on which the judges' mean verdict is the person's."""

    @property
    def nothing_but_order(self) -> bool:
        """Whether there is no rate because judges only followed the order."""
        return self.win_rate is None and self.ordered > 0
