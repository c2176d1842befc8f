"""When the next expert is asked: by what the vote is expected to gain, at what price."""

from __future__ import annotations

import numpy as np
import pytest

from agents.correlated_votes import Prefixes
from orchestrator.evaluation.mixture.need import FEW, FIRST, LAST, PRICES, NeedRule


def votes(count: int, *, pays: bool) -> Prefixes:
    """Half of the questions are clear from the first reply; on the others two more replies help, if it `pays`."""
    rng = np.random.default_rng(0)
    clear = np.arange(count) % 2 == 0
    final = 0.8 if pays else 0.5
    share = np.where(clear[:, None], 0.9, np.array([0.5, 0.55, final])) + rng.normal(0, 0.01, (count, 3))
    right = (rng.random((count, 1)) < (share if pays else share[:, [0, 0, 0]])).astype(float)
    return Prefixes(share, np.minimum(1 - share, share) * 0.5, right)


def test_going_on_is_worth_more_where_the_vote_is_open() -> None:
    rule = NeedRule.fit(votes(400, pays=True))
    place = rule.price_for(2.2)
    assert place is not None
    clear, unclear = rule.gain(place, 1, 0.9, 0.05), rule.gain(place, 1, 0.5, 0.25)
    assert unclear > rule.prices[place] > clear
    # The gain lies two replies ahead: the second alone brings little.
    assert unclear > 0.15
    assert rule.gain(place, 3, 0.5, 0.25) == 0.0


def test_calls_stay_within_what_was_wanted_and_a_lower_price_buys_more() -> None:
    rule = NeedRule.fit(votes(400, pays=True))
    assert (np.diff(rule.prices) < 0).all()
    for wanted in (1.5, 2.0, 3.0):
        place = rule.price_for(wanted)
        assert place is None or rule.spent[place] <= wanted
    assert rule.spent[len(PRICES) - 1] > rule.spent[0]


def test_where_asking_more_was_not_right_more_often_one_is_asked() -> None:
    assert NeedRule.fit(votes(400, pays=False)).price_for(3.0) is None


def test_prices_count_calls_at_what_they_cost() -> None:
    given = votes(400, pays=True)
    dear = np.tile([1.0, 20.0, 20.0], (400, 1))
    cheap, paid = NeedRule.fit(given), NeedRule.fit(given, dear)
    assert paid.spent[20] == pytest.approx(1.0)
    assert cheap.spent[20] > 1.5
    # In a unit of their own the same costs decide the same.
    cents = NeedRule.fit(given, 100 * dear, unit=100.0)
    np.testing.assert_allclose(cents.spent, 100 * paid.spent)
    np.testing.assert_allclose(cents.gains, paid.gains)


def test_of_few_questions_asking_goes_on_by_the_votes_share_alone() -> None:
    rng = np.random.default_rng(1)
    share = np.sort(rng.uniform(0.2, 0.95, (FEW - 1, 7)), 1)
    given = Prefixes(share, (1 - share) / 2, (rng.random((FEW - 1, 7)) < share).astype(float))
    rule = NeedRule.fit(given)
    assert rule.plain
    assert not NeedRule.fit(votes(FEW, pays=True)).plain
    assert (np.diff(rule.spent) >= 0).all()
    place = rule.price_for(3.0)
    assert place is not None
    assert FIRST <= rule.spent[place] <= 3.0
    low, high = float(rule.gains[place, 1, 0]) - 0.01, float(rule.gains[place, 1, 0]) + 0.01
    assert rule.gain(place, FIRST - 1, 0.99, 0.0) > 0
    assert rule.gain(place, FIRST, low, 0.0) > 0 > rule.gain(place, FIRST, high, 0.0)
    assert rule.gain(place, LAST, low, 0.0) < 0
    assert rule.price_for(1.5) is None
    two = Prefixes(share[:, :2], share[:, :2], share[:, :2])
    assert NeedRule.fit(two).price_for(2.0) is not None
