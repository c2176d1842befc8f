"""The vote after a discussion, by what each agent did: kept its answer, joined another one, or found a new one.

A reply that repeats what its agent had just read is no independent finding. The vote therefore counts first replies as
the log-odds vote before the talk does, and what they became by a factor per move, fitted on discussions whose gold
answers are known: a factor of 0 for those who joined takes followers for echoes, 1 for independent voters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.votes import Verdict, summed_log_odds

Floats = NDArray[np.float64]
Move = Literal["kept", "followed", "joined", "found", "withdrew", "silent"]
"""From the first reply to the last: the same answer; that of the first vote's leader; another one that somebody gave
first; one that nobody had given; none any more; none at all."""


class MoveOdds(NamedTuple):
    """How much of a reply's own weight in a log-odds vote counts, by its agent's move."""

    first: float = 1.0
    """Of the first reply, whatever became of it."""
    left: float = 0.0
    """Added to that where its agent left the answer."""
    kept: float = 0.0
    """Of the last reply of an agent that kept its answer."""
    followed: float = 0.0
    """Of one that went to the leader of the first vote."""
    joined: float = 0.0
    """Of one that went to another answer that had been given."""
    found: float = 0.0
    """Of one that came to an answer that nobody had given."""


AS_BEFORE = MoveOdds()
PULL = 4.0
"""How strongly fitted moves are held at their defaults, in questions."""


@dataclass(frozen=True)
class TalkRule:
    """What talking is worth to a panel, as it was on discussions of validation questions."""

    moves: MoveOdds = AS_BEFORE
    below: float = 1.0
    """A first vote whose share is at least this is not discussed; 0: nothing is."""
    fitted: int = 0
    """Discussions that it was fitted on."""
    gain: float = 0.0
    """By how much more of them were right after gated talk than by their first vote, by rules fitted on the others."""


@dataclass(frozen=True)
class Trajectory:
    """First and last replies of a panel to one question, agent by agent."""

    first: Sequence[str | None]
    last: Sequence[str | None]
    before: Sequence[float]
    """Weight of each first reply in the log-odds vote (`votes.log_odds_weights`)."""
    after: Sequence[float]
    """Of each last reply, as if it were an independent one."""
    options: float
    """Ways to answer the question (`votes.options_of`)."""

    @property
    def moves(self) -> list[Move]:
        """What each agent did."""
        leader = summed_log_odds(self.first, self.before, self.options).answer
        return [self._move(one, other, leader) for one, other in zip(self.first, self.last, strict=True)]

    def _move(self, first: str | None, last: str | None, leader: str | None) -> Move:
        if last is None:
            return "silent" if first is None else "withdrew"
        if first == last:
            return "kept"
        if last == leader:
            return "followed"
        return "joined" if last in self.first else "found"

    def features(self) -> tuple[list[str | None], Floats]:
        """(answers of the first and then of the last replies; what each adds to its answer's log-odds per number of
        `MoveOdds`, [2 agents, 6])."""
        agents = len(self.first)
        parts = np.zeros((2 * agents, len(MoveOdds._fields)))
        for place, move in enumerate(self.moves):
            parts[place, 0] = self.before[place]
            if move not in ("kept", "silent"):
                parts[place, 1] = self.before[place]
            if move in MoveOdds._fields:
                parts[agents + place, MoveOdds._fields.index(move)] = self.after[place]
        return [*self.first, *self.last], parts

    def vote(self, odds: MoveOdds) -> Verdict:
        """The vote of all replies, the first ones and then the last ones. A new answer that counts for nothing is no
        candidate: under the defaults the vote is that of the first replies."""
        answers, parts = self.features()
        weights = (parts @ np.array(odds)).tolist()
        agents = len(self.first)
        counted = [
            None if place >= agents and weight == 0 and answer not in self.first else answer
            for place, (answer, weight) in enumerate(zip(answers, weights, strict=True))
        ]
        return summed_log_odds(counted, weights, self.options)


def fit_moves(trajectories: Sequence[Trajectory], golds: Sequence[str | None], *, pull: float = PULL) -> MoveOdds:
    """The odds that find the gold answers most probable, held at the defaults, under which talking changes nothing, by
    `pull`. Discussions without a gold answer or any reply are left out; with none left, the defaults."""
    from scipy.optimize import minimize

    cases = [_case(one, gold) for one, gold in zip(trajectories, golds, strict=True) if gold is not None]
    cases = [case for case in cases if len(case[0])]
    start = np.array(MoveOdds())
    if not cases:
        return MoveOdds()

    def loss(odds: Floats) -> tuple[float, Floats]:
        value, slope = 0.0, np.zeros(len(odds))
        for parts, gold, unseen in cases:
            weights = parts @ odds
            top = max(float(weights.max()), 0.0)
            masses = np.exp(weights - top)
            total = float(masses.sum()) + unseen * math.exp(-top)
            value += top + math.log(total) - (float(weights[gold]) if gold >= 0 else 0.0)
            slope += (masses / total) @ parts - (parts[gold] if gold >= 0 else 0.0)
        moved = odds - start
        return value + pull / 2 * float((moved**2).sum()), slope + pull * moved

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 3.0), (-3.0, 3.0), *[(0.0, 3.0)] * 4])
    return MoveOdds(*map(float, found.x))


def _case(one: Trajectory, gold: str | None) -> tuple[Floats, int, float]:
    """(parts of each different answer [answers, 6], place of the gold one or -1, number of answers nobody gave)."""
    answers, parts = one.features()
    places = {answer: place for place, answer in enumerate(dict.fromkeys(a for a in answers if a is not None))}
    summed = np.zeros((len(places), parts.shape[1]))
    for answer, part in zip(answers, parts, strict=True):
        if answer is not None:
            summed[places[answer]] += part
    return summed, places.get(gold, -1) if gold is not None else -1, max(one.options - len(places), 0.0)
