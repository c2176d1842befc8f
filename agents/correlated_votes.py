"""The log-odds vote of experts that err alike: agreement counts as so many independent voters, not as so many voters.

`shared[i, j]` is how often two experts give the same wrong answer where both are wrong. Voters who agree form a group
whose correlation matrix it is; the group counts as 1' K^-1 1 independent voters, the precision of the best linear
combination of its members: m voters without shared errors count as m, copies of one another as one. Everything else is
`votes.log_odds`, and one set of odds serves any number of voters, because the first voters of a question are fitted
together with all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.votes import (
    AT_THEIR_WORD,
    OPTIONS,
    PROBABILITY_FLOOR,
    PULL,
    Odds,
    Verdict,
    summed_log_odds,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


def correlated_log_odds(
    answers: Sequence[str | None],
    probabilities: Sequence[float],
    shared: Floats,
    odds: Odds = AT_THEIR_WORD,
    *,
    options: float = OPTIONS,
) -> Verdict:
    """The vote of these replies. `shared` [replies, replies]: positive definite, 1 on the diagonal. Raises ValueError
    for lengths that differ and probabilities outside 0 to 1."""
    if not len(answers) == len(probabilities) == len(shared):
        raise ValueError(f"{len(answers)} answers, {len(probabilities)} probabilities, shared {shared.shape}")
    if any(not 0 <= one <= 1 for one in probabilities):
        raise ValueError(f"probabilities must be from 0 to 1, are {list(probabilities)}")
    if not answers:
        return summed_log_odds(answers, [], options)
    numbers = {answer: number for number, answer in enumerate(dict.fromkeys(answers)) if answer is not None}
    codes = np.array([[-1 if answer is None else numbers[answer] for answer in answers]], np.intp)
    parts = _parts(codes, np.array([probabilities], np.float64), shared[None], np.array([options]))
    return summed_log_odds(answers, (parts[0] @ np.array(odds)).tolist(), options)


@dataclass(frozen=True)
class Ballot:
    """What a vote is fitted on: n questions, each with k replies in the order in which experts were asked."""

    codes: Integers
    """[n, k], the number of each reply's answer among the question's different ones; -1: abstained."""
    probabilities: Floats
    """[n, k], by routers that had not seen the question"""
    shared: Floats
    """[n, k, k], how often each two err alike"""
    gold: Integers
    """[n], the number of the gold answer; another number than any reply's where nobody gave it, -1: not known"""
    options: Floats
    """[n], ways to answer"""

    def take(self, rows: Integers | NDArray[np.bool_]) -> Ballot:
        """The questions at these places."""
        return Ballot(
            self.codes[rows], self.probabilities[rows], self.shared[rows], self.gold[rows], self.options[rows]
        )


@dataclass(frozen=True)
class Prefixes:
    """How the vote stands after the first 1, 2, ... k replies; arrays are float64 [n, k]."""

    share: Floats
    """Posterior probability of the leading answer; 0 while nobody gave one."""
    second: Floats
    """Of the next one."""
    right: Floats
    """1 where the leading answer is the gold one."""


def fit_correlated(ballot: Ballot, *, pull: float = PULL) -> Odds:
    """The odds under which the votes of the first 1, 2, ... k replies find the gold answers most probable; the mean
    over the numbers of replies counts, against a weak `pull` towards probabilities at their word. Raises ValueError
    without a question that has both a reply and a gold answer."""
    from scipy.optimize import minimize

    known = ballot.take((ballot.gold >= 0) & (ballot.codes >= 0).any(1))
    if not len(known.gold):
        raise ValueError("no question has both a reply and a gold answer: the vote cannot be fitted")
    steps = [_step(known, size) for size in range(1, known.codes.shape[1] + 1)]

    def loss(odds: Floats) -> float:
        total = 0.0
        for features, first, is_gold, unseen in steps:
            weights = np.where(first, features @ odds, -np.inf)
            whole = np.logaddexp(np.logaddexp.reduce(weights, 1), unseen)
            # A gold answer that nobody gave weighs 0.
            own = np.where(is_gold.any(1), np.where(is_gold, features @ odds, 0.0).sum(1), 0.0)
            total -= float((own - whole).sum())
        return total / len(steps) + pull / 2 * float(((odds - np.array(AT_THEIR_WORD)) ** 2).sum())

    found = minimize(loss, np.array(AT_THEIR_WORD), method="L-BFGS-B", bounds=[(0.0, 6.0)] * 3)
    return Odds(*map(float, found.x))


def prefixes(ballot: Ballot, odds: Odds) -> Prefixes:
    """The vote after each reply."""
    n, k = ballot.codes.shape
    share, second, right = np.zeros((n, k)), np.zeros((n, k)), np.zeros((n, k))
    for size in range(1, k + 1):
        features, first, is_gold, unseen = _step(ballot, size)
        weights = np.where(first, features @ np.array(odds), -np.inf)
        whole = np.logaddexp(np.logaddexp.reduce(weights, 1), unseen)
        given = first.any(1)
        chances = np.exp(weights - np.where(np.isfinite(whole), whole, 0.0)[:, None])
        leader = weights.argmax(1)
        rows = np.arange(n)
        share[:, size - 1] = np.where(given, chances[rows, leader], 0.0)
        right[:, size - 1] = np.where(given, is_gold[rows, leader], 0.0)
        chances[rows, leader] = -1.0
        others = np.where(unseen > -np.inf, np.exp(np.minimum(-whole, 0.0)), 0.0)
        second[:, size - 1] = np.where(given, np.maximum(chances.max(1), others), 0.0)
    return Prefixes(share, second, right)


def _step(ballot: Ballot, size: int) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """After `size` replies: parts of each group's weight at its first voter [n, size, 3]; which voters are first of
    their group; which of these gave the gold answer; log of the number of answers that nobody gave [n]."""
    codes = ballot.codes[:, :size]
    parts = _parts(codes, ballot.probabilities[:, :size], ballot.shared[:, :size, :size], ballot.options)
    given = codes >= 0
    same = (codes[:, :, None] == codes[:, None, :]) & given[:, None, :] & given[:, :, None]
    first = given & ~np.tril(same, -1).any(2)
    totals = np.einsum("nij,njp->nip", same.astype(np.float64), parts)
    left = np.maximum(ballot.options - first.sum(1), 0.0)
    with np.errstate(divide="ignore"):
        unseen = np.log(left)
    return totals, first, first & (codes == ballot.gold[:, None]), unseen


def _parts(codes: Integers, probabilities: Floats, shared: Floats, options: Floats) -> Floats:
    """[n, k, 3]: what each reply adds to its group's weight, by trust, common and agreement (`votes.Odds`)."""
    p = np.clip(probabilities, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    logits = np.log(p / (1 - p))
    mean = logits.mean(1, keepdims=True)
    given = codes >= 0
    same = (codes[:, :, None] == codes[:, None, :]) & given[:, None, :] & given[:, :, None]
    eye = np.eye(codes.shape[1], dtype=bool)
    matrix = np.where(eye, 1.0, np.where(same, shared, 0.0))
    independent = np.linalg.solve(matrix, np.ones((*codes.shape, 1)))[:, :, 0]
    ways = np.log(options - 1)[:, None]
    return np.stack([logits - mean, independent * mean, independent * ways], 2)
