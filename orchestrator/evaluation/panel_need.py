"""Escalation by need: a panel whose experts are asked one after the other, each where a further reply is worth a call.

The rule is the mixture's (`mixture.need`); what differs is who is asked, always in one order, and where probabilities
come from: the experts' calibrated confidences instead of a router.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agents.confidence import ConfidenceKind
from agents.conversation import AskingRule
from agents.correlated_votes import Ballot, Prefixes, fit_correlated, prefixes
from agents.votes import Odds, Verdict, options_of, runner_up
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import PanelVote, held_out_votes
from orchestrator.evaluation.mixture.need import MAX_ASKED, NeedRule
from orchestrator.evaluation.mixture.vote_fit import LEAST_QUESTIONS

CALLS = 3.0
"""Mean first replies per question where nobody says how many."""
NOT_WORTH = "asking more was not right more often on validation questions"


class PanelNeed(NamedTuple):
    """What a panel that is asked one after the other takes from a profile."""

    odds: Odds
    """Of the vote of the first 1, 2, ... replies alike."""
    need: NeedRule

    def asking(self, calls: float) -> AskingRule:
        """The rule that asks so many experts per question on average."""
        place = self.need.price_for(calls)

        def enough(replies: int, verdict: Verdict, options: float) -> str | None:
            if place is None:
                return NOT_WORTH
            return self.need.enough(place, replies, verdict.share, runner_up(verdict, options))

        return enough


def fit_panel_need(
    answered: Sequence[ExpertReply], panel: Sequence[str], kind: ConfidenceKind, seed: int = 0
) -> PanelNeed | None:
    """Fitted on the validation questions to which all of the panel replied: votes of each part of them by odds of the
    others. None for fewer than `LEAST_QUESTIONS` of those with a gold answer, or a panel of one."""
    cast = [
        one
        for one in held_out_votes(answered, panel, kind)
        if one.gold is not None and len(one.answers) == len(panel) and any(answer is not None for answer in one.answers)
    ]
    if len(cast) < LEAST_QUESTIONS or len(panel) < 2 or len({one.part for one in cast}) < 2:
        return None
    ballot, part = _ballot(cast), np.array([one.part for one in cast])
    scores = [np.zeros(ballot.probabilities.shape) for _ in Prefixes.__dataclass_fields__]
    for number in np.unique(part):
        votes = prefixes(ballot.take(part == number), fit_correlated(ballot.take(part != number)))
        for whole, found in zip(scores, (votes.share, votes.second, votes.right), strict=True):
            whole[part == number] = found
    return PanelNeed(fit_correlated(ballot), NeedRule.fit(Prefixes(*scores), seed=seed))


def _ballot(cast: Sequence[PanelVote]) -> Ballot:
    """The first `MAX_ASKED` replies to each question, as independent ones, as the discussion's vote takes them."""
    count = min(MAX_ASKED, len(cast[0].answers))
    codes, gold = np.full((len(cast), count), -1, np.intp), np.zeros(len(cast), np.intp)
    for row, one in enumerate(cast):
        numbers = {answer: code for code, answer in enumerate(dict.fromkeys(a for a in one.answers if a is not None))}
        codes[row] = [-1 if answer is None else numbers[answer] for answer in one.answers[:count]]
        gold[row] = numbers.get(one.gold or "", len(numbers))
    return Ballot(
        codes,
        np.array([one.probabilities[:count] for one in cast]),
        np.broadcast_to(np.eye(count), (len(cast), count, count)),
        gold,
        np.array([options_of(one.question) for one in cast], np.float64),
    )
