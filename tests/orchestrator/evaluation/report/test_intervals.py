from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, unpaired_difference, wilson


def test_wilson_agrees_with_newcombes_published_example():
    interval = wilson(81, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)
    assert interval.value == 81 / 263


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_in_bounds_and_holds_its_value(counts):
    successes, n = counts
    interval = wilson(successes, n)
    assert -1e-12 <= interval.low <= interval.value + 1e-12
    assert interval.value - 1e-12 <= interval.high <= 1 + 1e-12
    assert interval.n == n


def test_wilson_without_questions_knows_nothing():
    interval = wilson(0, 0)
    assert (interval.low, interval.high, interval.n) == (0, 1, 0)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 5), (0, -1)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_paired_difference_equals_drawing_whole_questions():
    rng = np.random.default_rng(5)
    one = (rng.random(200) < 0.7).astype(float)
    other = np.where(rng.random(200) < 0.8, one, rng.random(200) < 0.4)
    drawn = rng.integers(0, 200, size=(20_000, 200))
    means = (one - other)[drawn].mean(axis=1)
    interval = paired_difference(one, other, resamples=20_000)
    assert interval.value == pytest.approx((one - other).mean())
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.011)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.011)
    assert interval == paired_difference(one, other, resamples=20_000)


def test_paired_difference_is_certain_when_every_question_differs_alike():
    interval = paired_difference([1.0, 0.5], [0.75, 0.25])
    assert (interval.value, interval.low, interval.high, interval.n) == (0.25, 0.25, 0.25, 2)


@pytest.mark.parametrize(("one", "other"), [([1.0], [1.0, 0.0]), ([], [])])
def test_paired_difference_refuses_unequal_or_no_scores(one, other):
    with pytest.raises(ValueError, match="paired scores"):
        paired_difference(one, other)


def test_mcnemar_agrees_with_the_sign_test_on_the_questions_that_differ():
    one = [1.0] * 9 + [0.0] * 2 + [1.0] * 40
    other = [0.0] * 9 + [1.0] * 2 + [1.0] * 40
    # Two-sided: 2 * P(at most 2 of 11) with even odds.
    assert mcnemar(one, other) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(other, one) == mcnemar(one, other)
    assert mcnemar(one, one) == 1.0
    assert mcnemar([0.5], [1.0]) is None
    with pytest.raises(ValueError, match="equally many"):
        mcnemar([1.0], [])


def test_unpaired_difference_agrees_with_newcombes_published_example():
    interval = unpaired_difference(wilson(56, 70), wilson(48, 80))
    assert interval.value == pytest.approx(0.2)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0524, 0.3339)


def test_pairing_narrows_the_interval_of_methods_that_mostly_agree():
    one = [1.0] * 70 + [0.0] * 30
    other = [1.0] * 60 + [0.0] * 40
    paired = paired_difference(one, other)
    unpaired = unpaired_difference(wilson(70, 100), wilson(60, 100))
    assert paired.high - paired.low < unpaired.high - unpaired.low
    assert paired.low > 0 > unpaired.low


def test_intervals_hold_95_of_100_unless_asked_otherwise():
    # Half of 400 differences are 1: the mean's standard error is 0.025, and 1.96 of it lie on either side.
    one, other = [1.0, 0.0] * 200, [0.0] * 400
    interval = paired_difference(one, other)
    assert (interval.low, interval.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.004)
    narrow = paired_difference(one, other, confidence=0.9)
    assert (narrow.low, narrow.high) == pytest.approx((0.5 - 1.645 * 0.025, 0.5 + 1.645 * 0.025), abs=0.004)
