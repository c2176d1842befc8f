"""What every record of a report is, and an estimate with its interval."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReportRecord(BaseModel):
    """Frozen, without unknown keys, without NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Interval(ReportRecord):
    """An estimate with its 95% confidence interval over `n` questions; n = 0: nothing was measured.

    Accuracies lie in 0..1, differences of accuracies in -1..1.
    """

    value: float
    low: float
    high: float
    n: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.low > self.high:
            raise ValueError(f"interval from {self.low} to {self.high}: low must not pass high")
        return self


class MetricFigure(ReportRecord):
    """A metric of one method over `n` questions, or the difference of two methods' metrics.

    `value` is None where the metric is not defined on these questions, `low` and `high` (95%) where it is not defined
    on too many of their resamples.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = Field(ge=0)
    higher_is_better: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> MetricFigure:
        if (self.low is None) is not (self.high is None):
            raise ValueError(f"metric {self.name!r}: an interval has two bounds")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"metric {self.name!r}: interval from {self.low} to {self.high}: low must not pass high")
        return self
