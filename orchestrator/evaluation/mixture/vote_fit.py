"""The mixture's vote and its rule for asking on, fitted on held-out rankings and recorded answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.correlated_votes import Ballot, Prefixes, fit_correlated, prefixes
from agents.votes import AT_THEIR_WORD, Odds
from orchestrator.evaluation.mixture.need import MAX_ASKED, NeedRule
from orchestrator.evaluation.voting import options_in, recorded_answer
from router.agreement import shared_errors
from router.ballots import Ballots
from router.crossfit import folds
from router.ranking import Scores
from router.table import Table
from router.trial import FOLDS

Floats = NDArray[np.float64]
LEAST_QUESTIONS = 10
"""With fewer questions that have replies and a gold answer no vote is fitted."""


class FittedVote(NamedTuple):
    """The parts of a fitted mixture that weigh answers."""

    odds: Odds
    shared: Floats
    need: NeedRule | None
    paid_need: NeedRule | None = None


def fit_vote(table: Table, held_out: Scores | None, seed: int = 0, costs: Floats | None = None) -> FittedVote:
    """Odds and shared errors from all questions; the rule for asking on from votes that were fitted on other questions.
    `held_out`: scores of the table's questions by routers that had not seen them; `costs` [experts]: of one reply each,
    where experts are paid for. Probabilities at their word, experts as independent and no rule where there is too
    little to fit on."""
    experts = len(table.experts)
    unfitted = FittedVote(AT_THEIR_WORD, np.eye(experts), None)
    if held_out is None or experts < 2:
        return unfitted
    ballots = Ballots(table, recorded_answer)
    known = np.flatnonzero((ballots.gold_codes >= 0) & (ballots.codes >= 0).any(1))
    parts = min(FOLDS, len({table.questions[row] for row in known}))
    if len(known) < LEAST_QUESTIONS or parts < 2:
        return unfitted
    part = folds(table.take(known), parts, seed)
    scores = [np.zeros((len(known), min(MAX_ASKED, experts))) for _ in range(3)]
    for number in np.unique(part):
        inside, outside = known[part == number], known[part != number]
        shared = shared_errors(ballots.codes[outside], ballots.gold_codes[outside])
        odds = fit_correlated(ballot_of(table, ballots, held_out, shared, outside))
        votes = prefixes(ballot_of(table, ballots, held_out, shared, inside), odds)
        for whole, found in zip(scores, (votes.share, votes.second, votes.right), strict=True):
            whole[part == number] = found
    shared = shared_errors(ballots.codes[known], ballots.gold_codes[known])
    odds = fit_correlated(ballot_of(table, ballots, held_out, shared, known))
    whole_votes, paid = Prefixes(*scores), None
    if costs is not None:
        order = held_out.order()[known, :MAX_ASKED]
        paid = NeedRule.fit(whole_votes, costs[order], seed, float(costs.mean()) or 1.0)
    return FittedVote(odds, shared, NeedRule.fit(whole_votes, seed=seed), paid)


def ballot_of(table: Table, ballots: Ballots, scores: Scores, shared: Floats, rows: NDArray[np.intp]) -> Ballot:
    """The first `MAX_ASKED` experts of each ranking with their recorded answers."""
    order = scores.order()[rows, :MAX_ASKED]
    chances = np.take_along_axis(scores.probabilities[rows], order, 1).astype(np.float64)
    return Ballot(
        np.take_along_axis(ballots.codes[rows], order, 1),
        chances,
        shared[order[:, :, None], order[:, None, :]],
        ballots.gold_codes[rows],
        np.array([options_in(table.rows[row]) for row in rows], np.float64),
    )
