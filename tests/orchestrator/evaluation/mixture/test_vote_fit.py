"""The vote is fitted on questions that the ranking had not seen, and the rule on votes that had not seen them."""

from __future__ import annotations

import numpy as np

from agents.votes import AT_THEIR_WORD
from orchestrator.evaluation.mixture import vote_fit
from orchestrator.evaluation.mixture.vote_fit import fit_vote
from router.ranking import Scores
from router.table import Table


def scores(table: Table) -> Scores:
    means = np.nanmean(table.correct, 0)
    tiled = np.tile(means, (len(table.rows), 1)).astype(np.float32)
    return Scores(table.experts, tiled, tiled)


def test_the_vote_and_the_rule_come_from_recorded_answers(table: Table) -> None:
    found = fit_vote(table, scores(table))
    assert found.odds != AT_THEIR_WORD
    assert found.shared.shape == (3, 3)
    assert found.need is not None
    assert found.need.gains.shape[1:] == (2, 4)


def test_too_little_to_fit_on_leaves_probabilities_at_their_word(table: Table) -> None:
    few = table.take(range(vote_fit.LEAST_QUESTIONS - 1))
    for given in (fit_vote(few, scores(few)), fit_vote(table, None)):
        assert given.odds == AT_THEIR_WORD
        assert given.need is None
        np.testing.assert_array_equal(given.shared, np.eye(3))


def test_each_questions_vote_is_fitted_on_other_questions(table: Table, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen: list[set[int]] = []
    real_ballot, real_fit = vote_fit.ballot_of, vote_fit.fit_correlated
    taken: list[set[int]] = []

    def ballot(table, ballots, given, shared, rows):  # type: ignore[no-untyped-def]
        taken.append({int(row) for row in rows})
        return real_ballot(table, ballots, given, shared, rows)

    def fit(ballot):  # type: ignore[no-untyped-def]
        seen.append(taken[-1])
        return real_fit(ballot)

    monkeypatch.setattr(vote_fit, "ballot_of", ballot)
    monkeypatch.setattr(vote_fit, "fit_correlated", fit)
    fit_vote(table, scores(table))
    *crossed, last = seen
    judged = [one for one in taken if one not in seen]
    assert last == set(range(60))
    assert set().union(*judged) == last
    assert all(not fitted & held for fitted, held in zip(crossed, judged, strict=True))
