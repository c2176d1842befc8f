"""Aggregators that count: k replies in, one answer out, with the tally that led to it.

Answers come in canonical (see `agents.answers`): equal text is an equal answer. `None` abstains: it is
counted, and never turned into a guess. Nothing here is random. Ties are broken by weight, then by the number
of votes, then by the best confidence stated for the answer, then by the order of the agents;
`Verdict.decided_by` says which it took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from agents.question import Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TieBreak = Literal["weight", "count", "confidence", "order"]

PROBABILITY_FLOOR = 0.01
"""Probabilities are kept this far from 0 and 1: no single expert decides alone, and no vote is infinite."""
OPTIONS = 10.0
"""Ways to answer a question of which nothing else is known."""
PULL = 4.0
"""How strongly `fit_log_odds` holds on to probabilities at their word: of 1, 4 and 16 the strongest that makes left-out
questions hardly less probable (docs/routers.md)."""
DIGITS = 9
"""Weights are summed and compared to so many decimals: 0.1 + 0.2 ties with 0.3, whoever votes first."""


@dataclass(frozen=True, slots=True)
class VoteGroup:
    """All who gave one answer."""

    answer: str
    voters: tuple[int, ...]
    """Places in the list of answers, ascending."""
    weight: float
    confidence: float | None
    """The best that was stated for this answer."""

    @property
    def count(self) -> int:
        """Number of voters."""
        return len(self.voters)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a vote yields."""

    answer: str | None
    """None if all abstained."""
    groups: tuple[VoteGroup, ...]
    """Best first."""
    abstentions: tuple[int, ...]
    decided_by: TieBreak | None
    """What set the winner apart from the runner-up; None if there was at most one answer."""
    share: float
    """How much of the vote the winner has, 0..1: of the weight, or its posterior probability (log-odds)."""

    @property
    def tied(self) -> tuple[str, ...]:
        """The answers of greatest weight, winner first: one, unless the vote itself was a tie."""
        return tuple(g.answer for g in self.groups if g.weight == self.groups[0].weight)

    @property
    def shares(self) -> dict[str, float]:
        """Each of `tied` with an equal share of 1: what drawing lots among them would score on average."""
        return {answer: 1 / len(self.tied) for answer in self.tied}


def options_of(question: Question) -> float:
    """How many answers a question allows: its lettered options, two for yes or no, else `OPTIONS`."""
    if question.choices:
        return float(max(2, len(question.choices)))
    return 2.0 if question.kind == "yesno" else OPTIONS


def majority(answers: Sequence[str | None], confidences: Sequence[float | None] | None = None) -> Verdict:
    """One reply, one vote (plurality). `confidences` only break ties."""
    return _verdict(answers, [1.0] * len(answers), confidences)


def weighted(
    answers: Sequence[str | None], weights: Sequence[float], confidences: Sequence[float | None] | None = None
) -> Verdict:
    """Each reply votes with its weight, finite and at least 0 (a stated confidence, an expert's accuracy). Raises
    ValueError for another weight."""
    for index, weight in enumerate(weights):
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(f"weight {index} must be finite and at least 0, is {weight}")
    return _verdict(answers, weights, confidences)


class Odds(NamedTuple):
    """What counts for how much in a log-odds vote (see `log_odds`); the defaults take probabilities at their word."""

    trust: float = 1.0
    """What sets a reply's log-odds apart from the mean of all replies to the question,"""
    common: float = 1.0
    """that mean,"""
    agreement: float = 1.0
    """and that there are many ways to be wrong."""


AT_THEIR_WORD = Odds()


def log_odds(
    answers: Sequence[str | None],
    probabilities: Sequence[float],
    odds: Odds = AT_THEIR_WORD,
    *,
    options: float = OPTIONS,
    confidences: Sequence[float | None] | None = None,
) -> Verdict:
    """The most probable answer, if each reply is right with its probability, independently of the others.

    A reply weighs log p/(1-p) + log(options - 1): with n options a wrong reply falls on each other one equally, so
    that agreement counts for more the more ways there are to be wrong, and a reply below chance counts against its
    answer (Nitzan and Paroush 1982; Li and others 2014, section 3, for several options). `options`: the lettered ones,
    2 for yes or no; where answers are free, errors seldom agree and the default says so.

    Experts err alike more than chance has it, and how hard a question is moves all log-odds alike and hardly says whom
    to believe: `fit_log_odds` finds the `odds` that suit given experts.
    """
    weights = log_odds_weights(probabilities, odds, options)
    different = len({answer for answer in answers if answer is not None})
    return _verdict(answers, weights, confidences, unseen=max(options - different, 0.0))


def summed_log_odds(answers: Sequence[str | None], weights: Sequence[float], options: float) -> Verdict:
    """The most probable answer, where each reply adds its weight to the log-odds of its answer."""
    different = len({answer for answer in answers if answer is not None})
    return _verdict(answers, weights, None, unseen=max(options - different, 0.0))


def log_odds_weights(
    probabilities: Sequence[float], odds: Odds = AT_THEIR_WORD, options: float = OPTIONS
) -> list[float]:
    """What each reply weighs in a log-odds vote; arguments and errors as for `log_odds`."""
    if not options > 1 or not all(math.isfinite(one) and one >= 0 for one in odds):
        raise ValueError(f"log-odds needs options > 1 and odds of at least 0, has {options} and {odds}")
    apart, mean = _apart(probabilities)
    shared = odds.common * mean + odds.agreement * math.log(options - 1)
    return [odds.trust * logit + shared for logit in apart]


def log_odds_matrix(
    probabilities: NDArray[np.float64], options: NDArray[np.float64], odds: Odds = AT_THEIR_WORD
) -> NDArray[np.float64]:
    """`log_odds_weights` of many votes at once: probabilities [votes, replies], options [votes] -> [votes, replies]."""
    import numpy as np

    p = np.clip(probabilities, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    logits = np.log(p / (1 - p))
    mean = logits.mean(1, keepdims=True)
    shared = odds.common * mean + odds.agreement * np.log(options - 1)[:, None]
    return np.asarray(odds.trust * (logits - mean) + shared)


def _apart(probabilities: Sequence[float]) -> tuple[list[float], float]:
    """(log-odds less their mean, that mean)."""
    logits = []
    for index, probability in enumerate(probabilities):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability {index} must be from 0 to 1, is {probability}")
        p = min(max(probability, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)
        logits.append(math.log(p / (1 - p)))
    mean = math.fsum(logits) / len(logits) if logits else 0.0
    return [logit - mean for logit in logits], mean


def runner_up(verdict: Verdict, options: float) -> float:
    """Posterior probability, in a log-odds vote, of the answer after the leading one; nobody may have given it."""
    if not verdict.groups:
        return 0.0
    leading, *others = (group.weight for group in verdict.groups)
    if options > len(verdict.groups):
        others.append(0.0)
    return verdict.share * math.exp(max(others) - leading) if others else 0.0


def fit_log_odds(
    answers: Sequence[Sequence[str | None]],
    probabilities: Sequence[Sequence[float]],
    golds: Sequence[str | None],
    options: float | Sequence[float] = OPTIONS,
    *,
    pull: float = PULL,
) -> Odds:
    """The odds under which `log_odds` finds the gold answers of validation questions most probable.

    One row a question: its replies, their probabilities from a router fitted on other questions, its gold answer
    (rows without one are left out); `options`: of all questions, or of each. By maximum likelihood with a weak `pull`
    towards taking probabilities at their word. Raises ValueError without any usable row.
    """
    import numpy as np
    from scipy.optimize import minimize

    ways = [options] * len(answers) if isinstance(options, int | float) else options
    rows = [
        (replies, ps, gold, count)
        for replies, ps, gold, count in zip(answers, probabilities, golds, ways, strict=True)
        if gold is not None and any(reply is not None for reply in replies)
    ]
    if not rows:
        raise ValueError("no question has both a reply and a gold answer: the vote cannot be fitted")
    slots = max(len(replies) for replies, *_ in rows) + 1
    votes = np.zeros((len(rows), slots, len(AT_THEIR_WORD)))  # the gold answer's slot is the first
    empty = np.zeros((len(rows), slots))
    for row, (replies, ps, gold, count) in enumerate(rows):
        place = {gold: 0}
        apart, mean = _apart(ps)
        for reply, logit in zip(replies, apart, strict=True):
            if reply is not None:
                votes[row, place.setdefault(reply, len(place))] += (logit, mean, math.log(count - 1))
        empty[row, len(place) :] = -np.inf
        if len(place) < slots and count > len(place):
            # All options that nobody chose, as one slot.
            empty[row, len(place)] = math.log(count - len(place))

    def loss(
        x: np.ndarray[tuple[int], np.dtype[np.float64]],
    ) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        logits = votes @ x + empty
        logits -= logits.max(1, keepdims=True)
        masses = np.exp(logits)
        total = masses.sum(1)
        likelihood = logits[:, 0] - np.log(total)
        moved = x - AT_THEIR_WORD
        slope = votes[:, 0] - ((masses / total[:, None])[:, None, :] @ votes)[:, 0]
        return float(-likelihood.sum() + pull / 2 * (moved**2).sum()), pull * moved - slope.sum(0)

    found = minimize(loss, AT_THEIR_WORD, jac=True, method="L-BFGS-B", bounds=[(0.0, 6.0)] * len(AT_THEIR_WORD))
    return Odds(*map(float, found.x))


def _verdict(
    answers: Sequence[str | None],
    weights: Sequence[float],
    confidences: Sequence[float | None] | None,
    unseen: float | None = None,
) -> Verdict:
    """`unseen`: for log-odds, how many options nobody chose (each of weight 0 in the posterior)."""
    confidences = [None] * len(answers) if confidences is None else confidences
    if not len(answers) == len(weights) == len(confidences):
        raise ValueError(f"{len(answers)} answers, {len(weights)} weights, {len(confidences)} confidences")
    voters: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer is not None:
            voters.setdefault(answer, []).append(index)
    groups = [_group(answer, who, weights, confidences) for answer, who in voters.items()]
    groups.sort(key=_rank)
    abstentions = tuple(index for index, answer in enumerate(answers) if answer is None)
    if not groups:
        return Verdict(None, (), abstentions, None, 0.0)
    step = _decided_by(groups[0], groups[1]) if len(groups) > 1 else None
    share = _share(groups) if unseen is None else _posterior(groups, unseen)
    return Verdict(groups[0].answer, tuple(groups), abstentions, step, share)


def _group(
    answer: str, voters: Sequence[int], weights: Sequence[float], confidences: Sequence[float | None]
) -> VoteGroup:
    stated = [confidence for index in voters if (confidence := confidences[index]) is not None]
    weight = round(math.fsum(weights[index] for index in voters), DIGITS)
    return VoteGroup(answer, tuple(voters), weight, max(stated, default=None))


def _rank(group: VoteGroup) -> tuple[float, int, float, int]:
    """Sort key, best first: weight, count, best stated confidence (none stated is least), first agent."""
    confidence = -math.inf if group.confidence is None else group.confidence
    return -group.weight, -group.count, -confidence, group.voters[0]


def _decided_by(winner: VoteGroup, second: VoteGroup) -> TieBreak:
    steps: tuple[TieBreak, ...] = ("weight", "count", "confidence", "order")
    return next(step for step, a, b in zip(steps, _rank(winner), _rank(second), strict=True) if a != b)


def _share(groups: Sequence[VoteGroup]) -> float:
    total = math.fsum(group.weight for group in groups)
    return groups[0].weight / total if total > 0 else 1 / len(groups)


def _posterior(groups: Sequence[VoteGroup], unseen: float) -> float:
    """Probability of the first group's answer over all options; an option that nobody chose has weight 0."""
    top = max(groups[0].weight, 0.0)
    total = math.fsum(math.exp(group.weight - top) for group in groups) + unseen * math.exp(-top)
    return math.exp(groups[0].weight - top) / total
