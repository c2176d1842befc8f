"""Confidence intervals for accuracies and for differences of accuracies, 95% unless said otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.evaluation.report.record import Interval


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Accuracy with its Wilson score interval (Wilson 1927; scipy's binomtest).

    Without questions (n = 0) nothing is known: value 0, interval 0 to 1. Raises ValueError for counts that
    are negative or more than n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: need 0 <= successes <= n")
    if n == 0:
        return Interval(value=0.0, low=0.0, high=1.0, n=0)
    from scipy.stats import binomtest

    bounds = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(value=successes / n, low=float(bounds.low), high=float(bounds.high), n=n)


def paired_difference(
    scores: Sequence[float],
    baseline: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Mean of scores - baseline over the same questions, in one order, with its paired bootstrap interval.

    Questions are drawn with replacement, each with both its scores, and the percentiles of the mean are taken
    (Efron & Tibshirani 1993, chapter 13). Scores are 0..1, one a question. Raises ValueError for different or
    zero lengths.
    """
    import numpy as np

    if len(scores) != len(baseline) or len(scores) == 0:
        raise ValueError(f"paired scores must be equally many and at least one: {len(scores)} and {len(baseline)}")
    differences = np.asarray(scores, dtype=float) - np.asarray(baseline, dtype=float)
    n = len(differences)
    # A resample's mean depends only on how often each distinct difference is drawn; right-or-wrong scores
    # have three, so the draw is multinomial and needs no n x resamples matrix.
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ values / n, [tail, 1 - tail])
    return Interval(value=float(differences.mean()), low=float(low), high=float(high), n=n)


def mcnemar(scores: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Two-sided p-value of the exact McNemar test (1947; scipy's binomtest) over the same questions, in one order.

    Of the questions that one method alone has right, either should have half if the methods were equally good. None
    where some score is neither 0 nor 1. Raises ValueError for different lengths.
    """
    if len(scores) != len(baseline):
        raise ValueError(f"paired scores must be equally many: {len(scores)} and {len(baseline)}")
    if any(score not in (0, 1) for score in (*scores, *baseline)):
        return None
    won = sum(one > other for one, other in zip(scores, baseline, strict=True))
    lost = sum(one < other for one, other in zip(scores, baseline, strict=True))
    if not won + lost:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue)


def unpaired_difference(one: Interval, other: Interval) -> Interval:
    """one - other from their own intervals, as if measured on different questions.

    Newcombe (1998), method 10: the Wilson bounds' distances, added as squares. Wider than the paired interval
    where both are right on the same questions; for use when only the two intervals are known.
    """
    difference = one.value - other.value
    low = difference - math.hypot(one.value - one.low, other.high - other.value)
    high = difference + math.hypot(one.high - one.value, other.value - other.low)
    return Interval(value=difference, low=low, high=high, n=min(one.n, other.n))
