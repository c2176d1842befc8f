"""Agreement of experts that err alike counts as so many independent voters; one set of odds for any number of them."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from agents.correlated_votes import Ballot, correlated_log_odds, fit_correlated, prefixes
from agents.votes import AT_THEIR_WORD, Odds, log_odds


def alike(count: int, share: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.where(np.eye(count, dtype=bool), 1.0, share)


def test_voters_without_shared_errors_vote_as_independent_ones() -> None:
    answers, chances = ["a", "b", None, "b"], [0.7, 0.4, 0.5, 0.6]
    for odds in (AT_THEIR_WORD, Odds(0.5, 0.3, 0.8)):
        ours = correlated_log_odds(answers, chances, alike(4, 0.0), odds, options=5)
        theirs = log_odds(answers, chances, odds, options=5)
        assert (ours.answer, ours.abstentions) == (theirs.answer, theirs.abstentions)
        assert ours.share == pytest.approx(theirs.share)


def test_two_voters_of_correlation_r_count_as_two_of_one_plus_r() -> None:
    """1' K^-1 1 of [[1, r], [r, 1]] is 2 / (1 + r): by hand for equal probabilities."""
    for r in (0.0, 0.5, 0.9):
        verdict = correlated_log_odds(["a", "a"], [0.6, 0.6], alike(2, r), options=4)
        assert verdict.groups[0].weight == pytest.approx(2 / (1 + r) * (math.log(0.6 / 0.4) + math.log(3)))


def test_only_agreement_is_discounted() -> None:
    apart = correlated_log_odds(["a", "b"], [0.6, 0.5], alike(2, 0.9), options=4)
    assert apart.share == pytest.approx(log_odds(["a", "b"], [0.6, 0.5], options=4).share)


def test_copies_do_not_outvote_a_better_expert() -> None:
    answers, chances = ["a", "b", "b", "b"], [0.8, 0.6, 0.6, 0.6]
    shared = alike(4, 0.95)
    shared[0, 1:] = shared[1:, 0] = 0.1
    assert log_odds(answers, chances, options=4).answer == "b"
    assert correlated_log_odds(answers, chances, shared, options=4).answer == "a"


def test_nobody_and_what_does_not_fit_together() -> None:
    assert correlated_log_odds([], [], np.zeros((0, 0))).answer is None
    assert correlated_log_odds([None], [0.5], np.ones((1, 1))).answer is None
    with pytest.raises(ValueError, match="2 answers, 1 probabilities"):
        correlated_log_odds(["a", "b"], [0.5], np.eye(2))
    with pytest.raises(ValueError, match="from 0 to 1"):
        correlated_log_odds(["a"], [1.5], np.eye(1))


def made(count: int, truth: float, stated: float) -> Ballot:
    """Three experts who are right with probability `truth`, state `stated`, and err independently among 4 options."""
    draw = random.Random(0)
    codes, gold = np.full((count, 3), -1), np.zeros(count, np.intp)
    for row in range(count):
        right, names = draw.randrange(4), {}
        for column in range(3):
            answer = right if draw.random() < truth else draw.choice([o for o in range(4) if o != right])
            codes[row, column] = names.setdefault(answer, len(names))
        gold[row] = names.get(right, len(names))
    chances = np.full((count, 3), stated)
    return Ballot(codes, chances, np.tile(np.eye(3), (count, 1, 1)), gold, np.full(count, 4.0))


def test_the_fit_corrects_probabilities_and_makes_shares_of_all_prefixes_honest() -> None:
    ballot = made(2_000, truth=0.5, stated=0.8)
    before, after = prefixes(ballot, AT_THEIR_WORD), prefixes(ballot, fit_correlated(ballot))
    for size in range(3):
        assert abs(after.share[:, size].mean() - after.right[:, size].mean()) < 0.04
        assert before.share[:, size].mean() - before.right[:, size].mean() > 0.1
    assert (after.second <= after.share + 1e-9).all()


def test_prefixes_are_the_votes_of_the_first_replies() -> None:
    ballot, odds = made(20, 0.6, 0.7), Odds(0.7, 0.9, 0.8)
    found = prefixes(ballot, odds)
    for row in range(20):
        for size in (1, 2, 3):
            answers = [str(code) for code in ballot.codes[row, :size]]
            verdict = correlated_log_odds(answers, [0.7] * size, np.eye(size), odds, options=4)
            assert found.share[row, size - 1] == pytest.approx(verdict.share)


def test_nothing_to_fit_on_is_refused() -> None:
    ballot = made(5, 0.5, 0.5)
    unknown = Ballot(ballot.codes, ballot.probabilities, ballot.shared, np.full(5, -1), ballot.options)
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit_correlated(unknown)
