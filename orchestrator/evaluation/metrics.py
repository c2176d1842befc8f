"""Metrics of a report: figures of a method's answers beside their accuracy, those of other packages among them.

A metric is a function of all answers of a method. Its interval is the percentile bootstrap's over questions (Efron &
Tibshirani 1993, chapter 13); a difference of two methods draws the same questions for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.evaluation.methods import Answer
from orchestrator.evaluation.report.record import MetricFigure
from orchestrator.extensions import extension, load

RESAMPLES = 1_000
MIN_RESAMPLES = 200
MAX_VISITS = 2_000_000
"""Answers that the resamples of one figure hold together: above 2,000 questions there are fewer than `RESAMPLES`."""
MAX_UNDEFINED = 0.05
"""Share of the resamples on which a metric may be undefined; above it the figure has no interval."""


@dataclass(frozen=True)
class Metric:
    """A figure of a method: `function` takes its answers, one per question, those that failed among them.

    The function returns a finite number, or None where the figure is not defined on these answers (none of them states
    a confidence, say). It is also called with resamples, in which some questions stand several times and others not.
    """

    name: str
    function: Callable[[Sequence[Answer]], float | None]
    higher_is_better: bool = True


def brier(answers: Sequence[Answer]) -> float | None:
    """Mean squared distance of each stated confidence (0..1) from 1 where the answer is right and from 0 where it is
    not (Brier 1950). None where no answer has a confidence."""
    errors = [(one.confidence - one.right) ** 2 for one in answers if one.answer and one.confidence is not None]
    return sum(errors) / len(errors) if errors else None


def answered(answers: Sequence[Answer]) -> float:
    """Share of all questions to which there is an answer that can be read, right or wrong (0..1)."""
    return sum(one.answer is not None for one in answers) / len(answers)


METRICS: Mapping[str, Metric] = {
    "brier": Metric("Brier score", brier, higher_is_better=False),
    "answered": Metric("Answered", answered),
}


def metrics_named(names: Sequence[str], own: Mapping[str, str]) -> list[Metric]:
    """The metrics of these names: built in, of the configuration (`own`: name -> module:attribute), `module:attribute`,
    or an entry point of the group `collegium.metrics`. Raises `BadInput`."""
    return [_named(name, own) for name in dict.fromkeys(names)]


def _named(name: str, own: Mapping[str, str]) -> Metric:
    if name in own:
        found = load(own[name], f"metrics.{name}")
    elif name in METRICS:
        return METRICS[name]
    else:
        found = extension("collegium.metrics", name, "--metrics")
    if found is None:
        every = ", ".join([*METRICS, *own])
        raise BadInput(f"--metrics: no metric {name!r}; there are {every}; or give module:attribute")
    if not isinstance(found, Metric):
        raise BadInput(f"--metrics: {name!r} is no Metric but {type(found).__name__}")
    return found


def figures(metrics: Sequence[Metric], method: str, answers: Sequence[Answer], seed: int) -> list[MetricFigure]:
    """Each metric of one method's answers. Raises `BadInput` where a metric fails or returns no number."""
    return [_figure(metric, (method, answers), None, seed) for metric in metrics]


def differences(
    metrics: Sequence[Metric], one: tuple[str, Sequence[Answer]], other: tuple[str, Sequence[Answer]], seed: int
) -> list[MetricFigure]:
    """Each metric of `one` minus that of `other`, (name, answers) to the same questions in one order. Raises
    `BadInput` where a metric fails or returns no number."""
    return [_figure(metric, one, other, seed) for metric in metrics]


def _figure(
    metric: Metric, one: tuple[str, Sequence[Answer]], other: tuple[str, Sequence[Answer]] | None, seed: int
) -> MetricFigure:
    n = len(one[1])

    def value(places: Sequence[int]) -> float | None:
        first = _value(metric, one[0], [one[1][place] for place in places])
        if other is None or first is None:
            return first
        second = _value(metric, other[0], [other[1][place] for place in places])
        return None if second is None else first - second

    whole = value(range(n)) if n else None
    bounds = None if whole is None else _interval(value, n, seed)
    low, high = bounds or (None, None)
    return MetricFigure(
        name=metric.name, value=whole, low=low, high=high, n=n, higher_is_better=metric.higher_is_better
    )


def _value(metric: Metric, method: str, answers: Sequence[Answer]) -> float | None:
    where = f"--metrics: {metric.name}: method {method!r}"
    try:
        found = metric.function(answers)
    except Exception as error:
        raise BadInput(f"{where}: {type(error).__name__}: {error}; return None where it is not defined") from error
    if found is None:
        return None
    try:
        number = float(found)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{where}: returned {found!r}, neither a finite number nor None")
    return number


def _interval(
    value: Callable[[Sequence[int]], float | None], n: int, seed: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """(low, high) of a figure; None where it is not defined on too many resamples."""
    import numpy as np

    random = np.random.default_rng(seed)
    resamples = min(RESAMPLES, max(MIN_RESAMPLES, MAX_VISITS // n))
    drawn = [value(random.integers(n, size=n).tolist()) for _ in range(resamples)]
    defined = [one for one in drawn if one is not None]
    if len(defined) < (1 - MAX_UNDEFINED) * resamples:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
