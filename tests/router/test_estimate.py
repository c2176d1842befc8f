"""Intervals that cover, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from router.estimate import Resamples, difference, estimate


def test_intervals_cover_and_groups_widen_them() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        sample = (rng.random(150) < 0.3).astype(float)
        found = estimate(sample, [str(i) for i in range(150)])
        covered += found.low <= 0.3 <= found.high
    assert covered >= 51
    single = (rng.random(100) < 0.5).astype(float)
    alone = estimate(single, [str(i) for i in range(100)])
    repeated = estimate(np.repeat(single, 4), [str(i // 4) for i in range(400)])
    naive = estimate(np.repeat(single, 4), [str(i) for i in range(400)])
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert naive.high - naive.low < 0.7 * (repeated.high - repeated.low)


def test_paired_difference_sees_what_intervals_cannot() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    a, b = (hard < 0.55).astype(float), (hard < 0.5).astype(float)
    groups = [str(i) for i in range(400)]
    found = difference(a, b, groups)
    assert found.value == pytest.approx(float(a.mean() - b.mean()))
    assert found.low > 0
    assert found.p < 1e-4
    assert difference(a, a, groups) == type(found)(0.0, 0.0, 0.0, 1.0)
    null = [difference(*(rng.random((2, 400)) < 0.5).astype(float), groups).p for _ in range(60)]
    assert float(np.mean(np.array(null) < 0.05)) < 0.15
    assert 0.35 < float(np.mean(null)) < 0.65


def test_many_intervals_are_those_of_scipys_bootstrap_one_by_one() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(3)
    groups = [str(number // 2 if number < 20 else number) for number in range(120)]
    columns = [rng.random(120), (rng.random(120) < 0.3).astype(float), np.ones(120)]
    drawn = Resamples(groups)
    sums, sizes = drawn.sums(columns[0]), drawn.sums(np.ones(120))
    found = bootstrap(
        (sums, sizes),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        n_resamples=2_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert drawn.intervals(columns)[0] == pytest.approx((found.low, found.high))
    assert drawn.intervals(columns)[1:] == [drawn.intervals([columns[1]])[0], (1.0, 1.0)]
