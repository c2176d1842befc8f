"""Means with their uncertainty: bootstrap intervals, and paired differences with a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions with its 95% bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over the same questions, its 95% bootstrap interval, and a paired t-test's p-value."""

    value: float
    low: float
    high: float
    p: float


def estimate(scores: NDArray[np.float64], groups: Sequence[str]) -> Estimate:
    """Mean of `scores` [questions]. Questions of one group (equal text) are drawn together."""
    sums, sizes = _by_group(scores, groups)
    low, high = _interval(sums, sizes)
    return Estimate(float(np.mean(scores)), low, high)


def difference(a: NDArray[np.float64], b: NDArray[np.float64], groups: Sequence[str]) -> Difference:
    """Mean of a - b over the same questions. p is 1 where a and b are equal everywhere."""
    from scipy.stats import ttest_1samp

    gap = np.asarray(a - b, np.float64)
    sums, sizes = _by_group(gap, groups)
    low, high = _interval(sums, sizes)
    equal = len(sums) < 2 or bool(np.allclose(sums, sums[0]))
    # Groups weigh by their size, as in the mean itself.
    p = 1.0 if equal else float(ttest_1samp(sums - gap.mean() * (sizes - sizes.mean()), 0).pvalue)
    return Difference(float(gap.mean()), low, high, p)


def _by_group(scores: NDArray[np.float64], groups: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    place = np.array([numbers[group] for group in groups])
    return np.bincount(place, scores).astype(np.float64), np.bincount(place).astype(np.float64)


def _interval(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import bootstrap

    if len(sums) < 2 or np.allclose(sums / sizes, (sums / sizes)[0]):
        return float((sums / sizes)[0]), float((sums / sizes)[0])

    def mean(total: NDArray[np.float64], count: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(total.sum(axis) / count.sum(axis))

    found = bootstrap(
        (sums, sizes),
        mean,
        paired=True,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // len(sums)),
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
