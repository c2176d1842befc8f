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


class Resamples:
    """The bootstrap of many means over the same questions: each resample is drawn once for all of them.

    Questions of one group (equal text) are drawn together. The draws are those of `scipy.stats.bootstrap` with seed 0
    (percentile method), so that an interval does not depend on which others are asked for beside it.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._place = np.array([numbers[group] for group in groups])
        self._sizes = np.bincount(self._place).astype(np.float64)

    def sums(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of the scores of each group."""
        return np.bincount(self._place, scores, len(self._sizes)).astype(np.float64)

    def intervals(self, scores: Sequence[NDArray[np.float64]]) -> list[tuple[float, float]]:
        """95% bootstrap interval of each mean; a single point where all groups have one mean."""
        if not scores:
            return []
        sums = np.stack([self.sums(one) for one in scores], 1)
        groups = len(self._sizes)
        means = sums / self._sizes[:, None]
        flat = [groups < 2 or bool(np.allclose(column, column[0])) for column in means.T]
        moving = [number for number, still in enumerate(flat) if not still]
        found = [(float(column[0]), float(column[0])) for column in means.T]
        if moving:
            drawn = self._drawn(np.ascontiguousarray(sums[:, moving]))
            low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
            for place, number in enumerate(moving):
                found[number] = (float(low[place]), float(high[place]))
        return found

    def _drawn(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means of each resample, [resamples, columns]."""
        groups = len(self._sizes)
        rng = np.random.default_rng(0)
        found = np.empty((RESAMPLES, sums.shape[1]))
        batch = max(1, min(RESAMPLES, 2_000_000 // groups))
        for start in range(0, RESAMPLES, batch):
            size = min(batch, RESAMPLES - start)
            picks = rng.integers(0, groups, (size, groups))
            picks += np.arange(size)[:, None] * groups
            counts = np.bincount(picks.ravel(), minlength=size * groups).reshape(size, groups).astype(np.float64)
            found[start : start + size] = (counts @ sums) / (counts @ self._sizes)[:, None]
        return found

    def estimates(self, scores: Sequence[NDArray[np.float64]]) -> list[Estimate]:
        """Mean of each row of scores [questions] with its interval."""
        bounds = self.intervals(scores)
        return [Estimate(float(np.mean(one)), *bound) for one, bound in zip(scores, bounds, strict=True)]

    def differences(self, pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[Difference]:
        """Mean of a - b over the same questions for each pair. p is 1 where a and b are equal everywhere."""
        gaps = [np.asarray(a - b, np.float64) for a, b in pairs]
        bounds = self.intervals(gaps)
        return [Difference(float(gap.mean()), *bound, self._p(gap)) for gap, bound in zip(gaps, bounds, strict=True)]

    def _p(self, gap: NDArray[np.float64]) -> float:
        from scipy.stats import ttest_1samp

        sums, sizes = self.sums(gap), self._sizes
        if len(sums) < 2 or bool(np.allclose(sums, sums[0])):
            return 1.0
        # Groups weigh by their size, as in the mean itself.
        return float(ttest_1samp(sums - gap.mean() * (sizes - sizes.mean()), 0).pvalue)


def estimate(scores: NDArray[np.float64], groups: Sequence[str]) -> Estimate:
    """Mean of `scores` [questions]. Questions of one group (equal text) are drawn together."""
    return Resamples(groups).estimates([scores])[0]


def difference(a: NDArray[np.float64], b: NDArray[np.float64], groups: Sequence[str]) -> Difference:
    """Mean of a - b, both (questions,), over the same questions. p is 1 where a and b are equal everywhere."""
    return Resamples(groups).differences([(a, b)])[0]
