"""Votes: explicit ties, counted abstentions, nothing random, and log-odds that are right in theory."""

from __future__ import annotations

import math
import operator
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.votes import (
    AT_THEIR_WORD,
    Odds,
    fit_log_odds,
    log_odds,
    log_odds_matrix,
    log_odds_weights,
    majority,
    runner_up,
    weighted,
)

answers = st.lists(st.sampled_from(["A", "B", "C", None]), max_size=7)


def test_majority_counts_and_names_the_groups() -> None:
    verdict = majority(["A", None, "B", "B", None])
    assert verdict.answer == "B"
    assert [(g.answer, g.voters, g.count) for g in verdict.groups] == [("B", (2, 3), 2), ("A", (0,), 1)]
    assert verdict.abstentions == (1, 4)
    assert verdict.decided_by == "weight"
    assert verdict.share == pytest.approx(2 / 3)


@pytest.mark.parametrize("nobody", [[], [None], [None, None]])
def test_all_abstaining_is_no_answer(nobody: list[None]) -> None:
    for verdict in (majority(nobody), weighted(nobody, [1.0] * len(nobody)), log_odds(nobody, [0.5] * len(nobody))):
        assert verdict.answer is None
        assert verdict.groups == ()
        assert verdict.shares == {}
        assert verdict.decided_by is None
        assert verdict.share == 0


def test_ties_fall_by_weight_then_count_then_confidence_then_order() -> None:
    assert weighted(["A", "B"], [0.3, 0.4]).decided_by == "weight"
    by_count = weighted(["A", "B", "B"], [0.3, 0.1, 0.2])
    assert (by_count.answer, by_count.decided_by) == ("B", "count")
    by_confidence = majority(["A", "B"], [0.2, 0.9])
    assert (by_confidence.answer, by_confidence.decided_by) == ("B", "confidence")
    by_order = majority(["B", "A"])
    assert (by_order.answer, by_order.decided_by, by_order.tied) == ("B", "order", ("B", "A"))
    assert by_order.shares == {"B": 0.5, "A": 0.5}
    stated = majority(["A", "B"], [None, 0.0])
    assert (stated.answer, stated.decided_by) == ("B", "confidence")


@given(answers, st.randoms())
def test_the_winner_of_a_clear_vote_does_not_depend_on_the_order(votes: list[str | None], order: random.Random) -> None:
    verdict = majority(votes)
    shuffled = list(votes)
    order.shuffle(shuffled)
    again = majority(shuffled)
    assert set(again.tied) == set(verdict.tied)
    assert len(again.abstentions) == len(verdict.abstentions) == votes.count(None)
    assert sum(g.count for g in again.groups) + len(again.abstentions) == len(votes)
    if len(verdict.tied) == 1:
        assert again.answer == verdict.answer


@given(answers)
def test_equal_weights_and_equal_probabilities_are_a_majority(votes: list[str | None]) -> None:
    plain = majority(votes)
    assert weighted(votes, [0.7] * len(votes)).answer == plain.answer
    assert log_odds(votes, [0.8] * len(votes), options=4).answer == plain.answer


def test_log_odds_is_the_bayes_optimal_answer() -> None:
    """Against brute force: the posterior of each option under independent experts with uniform errors."""
    probabilities, options = [0.9, 0.55, 0.4, 0.15], 4
    for votes in product("ABCD", repeat=4):
        posterior = {
            truth: math.prod(
                p if vote == truth else (1 - p) / (options - 1) for vote, p in zip(votes, probabilities, strict=True)
            )
            for truth in "ABCD"
        }
        verdict = log_odds(votes, probabilities, options=options)
        total = sum(posterior.values())
        assert posterior[verdict.answer or ""] == pytest.approx(max(posterior[vote] for vote in votes))
        assert verdict.share == pytest.approx(posterior[verdict.answer or ""] / total)


def test_one_strong_expert_outweighs_two_weak_ones_and_three_make_up_for_it() -> None:
    assert log_odds(["A", "B", "B"], [0.95, 0.6, 0.6], options=2).answer == "A"
    assert weighted(["A", "B", "B"], [0.95, 0.6, 0.6]).answer == "B"
    assert log_odds(["A", "B", "B"], [0.5, 0.35, 0.35], options=2).answer == "A"
    assert log_odds(["A", "B", "B"], [0.5, 0.35, 0.35], options=10).answer == "B"


def test_certainty_is_bounded() -> None:
    """One who is always right and one who is always wrong do not silence two good ones."""
    verdict = log_odds(["A", "B", "B", "B"], [1.0, 0.97, 0.97, 0.0], options=2)
    assert all(math.isfinite(group.weight) for group in verdict.groups)
    assert verdict.answer == "A"
    assert log_odds(["A", "B", "B", "B"], [1.0, 0.97, 0.97, 0.9], options=2).answer == "B"
    assert 0 < verdict.share < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weighted(["A"], [-1.0]), "weight 0 must be finite"),
        (lambda: weighted(["A"], [math.nan]), "weight 0 must be finite"),
        (lambda: weighted(["A"], []), "1 answers, 0 weights"),
        (lambda: majority(["A"], [0.1, 0.2]), "2 confidences"),
        (lambda: log_odds(["A"], [1.1]), "probability 0 must be from 0 to 1"),
        (lambda: log_odds(["A"], [math.nan]), "probability 0"),
        (lambda: log_odds(["A"], [0.5], options=1), "options > 1"),
        (lambda: log_odds(["A"], [0.5], Odds(trust=-1)), "odds of at least 0"),
        (lambda: fit_log_odds([[None]], [[0.5]], ["A"]), "no question has both"),
    ],
)
def test_senseless_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def simulated(n: int, options: int, chances: list[float], copies: int, seed: int = 0) -> tuple[list, list, list]:
    """Independent experts, errors uniform over the options; the last `copies` repeat the first one's answer."""
    rng = random.Random(seed)
    letters = "ABCDEFGHIJ"[:options]
    rows, golds = [], []
    for _ in range(n):
        gold = rng.choice(letters)
        wrong = [letter for letter in letters if letter != gold]
        votes = [gold if rng.random() < p else rng.choice(wrong) for p in chances]
        rows.append([*votes, *[votes[0]] * copies])
        golds.append(gold)
    p = [*chances, *[chances[0]] * copies]
    return rows, [p] * n, golds


def test_fitting_independent_experts_finds_the_truth() -> None:
    odds = fit_log_odds(*simulated(3000, 6, [0.7, 0.5, 0.4], 0), options=6)
    assert odds == pytest.approx((1, 1, 1), abs=0.15)


def test_fitting_experts_that_err_together_weighs_agreement_less() -> None:
    """Two copies of a middling expert outvote a good one until the vote has seen that they always agree."""
    rows, p, golds = simulated(3000, 4, [0.55, 0.7], 2, seed=1)

    def accuracy(odds: Odds) -> float:
        told = [log_odds(r, q, odds, options=4).answer for r, q in zip(rows, p, strict=True)]
        return sum(map(operator.eq, told, golds)) / len(golds)

    odds = fit_log_odds(rows, p, golds, options=4)
    assert accuracy(odds) > accuracy(AT_THEIR_WORD) + 0.1
    assert accuracy(odds) > 0.68


def test_what_a_router_makes_of_all_experts_alike_is_set_aside_if_it_says_nothing() -> None:
    """It takes questions for easy or hard at random, and knows all the same who is better than whom."""
    rows, p, golds = simulated(2000, 4, [0.7, 0.5, 0.45, 0.3], 0, seed=2)
    rng = random.Random(3)
    for number, chances in enumerate(p):
        moved = rng.gauss(0, 2)
        p[number] = [1 / (1 + math.exp(-moved) * (1 - chance) / chance) for chance in chances]

    def accuracy(odds: Odds) -> float:
        told = [log_odds(r, q, odds, options=4).answer for r, q in zip(rows, p, strict=True)]
        return sum(map(operator.eq, told, golds)) / len(golds)

    odds = fit_log_odds(rows, p, golds, options=4)
    assert odds.common < 0.2 < 0.7 < odds.trust
    assert accuracy(odds) > accuracy(AT_THEIR_WORD) + 0.02


def test_many_log_odds_votes_weigh_as_one_does() -> None:
    import numpy as np

    p = np.array([[0.0, 0.4, 1.0], [0.7, 0.7, 0.2]])
    odds = Odds(0.5, 0.2, 1.5)
    found = log_odds_matrix(p, np.array([4.0, 2.0]), odds)
    for row, options in enumerate((4.0, 2.0)):
        assert found[row].tolist() == pytest.approx(log_odds_weights(p[row].tolist(), odds, options))


def test_the_runner_up_may_be_an_answer_that_nobody_gave() -> None:
    alone = log_odds(["a"], [0.4], options=4)
    assert runner_up(alone, 4) == pytest.approx(0.2)
    assert runner_up(log_odds(["a", "b"], [0.5, 0.5], options=2), 2) == pytest.approx(0.5)
    assert runner_up(log_odds([None], [0.5]), 4) == 0.0
