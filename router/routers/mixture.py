"""Several routers as one, weighted by how well they rank questions that they were not fitted on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.calibration import Calibration, Platt
from router.crossfit import Fit, folds, out_of_fold
from router.embedding import Features
from router.nested import NestedFits
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, logit
from router.table import Table

PAIR_ROWS = 2_000
"""Questions used to weigh the members; more make it slower, not better."""
MANY = 5_000
"""Fitted questions from which three folds weigh the members as well as five, in less time."""
TRUST = 4.0
"""Questions' worth of evidence that the starting weights count for."""
SURE = 1.64
"""Standard errors by which a member alone must be right more often than the stack to take its place (one-sided 5%)."""
SEATS = 3
"""First experts of a ranking that must not be right less often then."""


@dataclass(frozen=True)
class MixtureRouter(FittedRouter):
    """score = sum of weight * log-odds of each member, then calibrated to a probability (stacking).

    The weights, none negative, maximise on held-out folds the probability sigma(score_a - score_b) that an expert
    a that was right stands before an expert b that was wrong on the same question: how hard a question is says
    nothing about whom to ask, and must not decide which router to trust.
    """

    names: tuple[str, ...]
    members: tuple[FittedRouter, ...]
    weights: tuple[float, ...]
    calibration: Calibration

    @classmethod
    def fit(
        cls, table: Table, questions: Features, *, members: Mapping[str, Fit], parts: int = 5, seed: int = 0
    ) -> Self:
        """Fit each member on each of `parts` folds to weigh it, then on everything. Raises ValueError without
        members or with one question, TypeError for a member that is no `FittedRouter`."""
        table, questions = fitting_rows(table, questions)
        return cls._fit(table, questions, members, _folds(table, parts, seed), seed)[0]

    @classmethod
    def fit_held_out(
        cls, table: Table, questions: Features, *, members: Mapping[str, Fit], parts: int = 5, seed: int = 0
    ) -> tuple[Self, Scores]:
        """The fitted router, and scores of the fitted questions (`fitting_rows`) by routers that did not see them, at
        the cost of one fit: members as they were fitted outside each question's fold, weights and calibration of the
        other folds. Raises what `fit` raises."""
        table, questions = fitting_rows(table, questions)
        fold = _folds(table, parts, seed)
        router, logits = cls._fit(table, questions, members, fold, seed)
        values = np.empty((len(table.rows), len(table.experts)), np.float32)
        for number in np.unique(fold):
            inside, outside = fold == number, fold != number
            weights = _weigh(logits[:, outside], table.correct[outside], seed)
            combined = np.tensordot(weights, logits, 1).astype(np.float32)
            calibration = _calibration(combined[outside], table.correct[outside])
            values[inside] = calibration(combined[inside])
        values = np.where(router.prior.observations > 0, values, router.prior.mean).astype(np.float32)
        return router, Scores(table.experts, values, router.prior.humble(values))

    @classmethod
    def _fit(
        cls, table: Table, questions: Features, members: Mapping[str, Fit], fold: NDArray[np.intp], seed: int
    ) -> tuple[Self, NDArray[np.float32]]:
        """The router, and its members' held-out log-odds [members, questions, experts]."""
        if not members:
            raise ValueError("a mixture of routers needs at least one member")
        held_out = np.stack([logit(out_of_fold(fit, table, questions, fold).probabilities) for fit in members.values()])
        weights, calibration = _stacked(held_out, table.correct, seed)
        fitted = []
        for name, fit in members.items():
            router = fit(table, questions)
            if not isinstance(router, FittedRouter):
                raise TypeError(f"member {name!r}: {type(router).__name__} is not a FittedRouter")
            fitted.append(router)
        made = cls(
            table.experts,
            Prior.of(table.correct),
            tuple(members),
            tuple(fitted),
            tuple(weights.tolist()),
            calibration,
        )
        return made, held_out

    def score(self, questions: Features) -> Scores:
        """Terms: what each member adds to the log-odds. An expert without a profile has its prior."""
        parts = {
            name: weight * logit(member.score(questions).probabilities)
            for name, member, weight in zip(self.names, self.members, self.weights, strict=True)
            if weight > 0
        }
        values = _combined(list(parts.values()), self.calibration, self.prior, len(questions))
        return Scores(self.experts, values, self.prior.humble(values), parts)

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """That of all members that have a say."""
        evidence = [
            member.evidence(questions) for member, weight in zip(self.members, self.weights, strict=True) if weight > 0
        ]
        return [tuple(item for rows in evidence for item in rows[index]) for index in range(len(questions))]


def _folds(table: Table, parts: int, seed: int) -> NDArray[np.intp]:
    different = len(set(table.questions))
    if different < 2:
        raise ValueError("a mixture of routers needs at least two different questions")
    if len(table.rows) > MANY:
        parts = min(parts, 3)
    return folds(table, min(parts, different), seed)


@dataclass(frozen=True)
class MixtureFit:
    """How a mixture of these members is fitted: on one table, or on a table in folds with fits that others share."""

    members: Callable[[Features], Mapping[str, Fit]]
    """By the questions: some members need skills."""
    seed: int = 0

    def __call__(self, table: Table, questions: Features) -> MixtureRouter:
        """Fit on everything. Raises ValueError as `MixtureRouter.fit`."""
        return MixtureRouter.fit(table, questions, members=self.members(questions), seed=self.seed)

    def crossfitted(self, nested: NestedFits) -> tuple[Scores, float]:
        """(scores of every row by a mixture that was not fitted on its fold, seconds that scoring took).

        Members are weighed on the other folds, each by fits without that fold and the row's own: with n folds as with
        n - 1 parts in `MixtureRouter.fit`. Needs three folds or more."""
        table, members = nested.table, list(self.members(nested.questions).values())
        values = np.empty((len(table.rows), len(table.experts)), np.float32)
        probabilities = np.empty_like(values)
        fresh = np.array([not row.repeat for row in table.rows])
        seconds = 0.0
        for number in nested.folds:
            kept = np.flatnonzero((nested.fold != number) & fresh)
            weights, calibration = _stacked(self._held_out(nested, members, number), table.correct[kept], self.seed)
            chosen = [
                (nested.without(fit, number), weight)
                for fit, weight in zip(members, weights, strict=True)
                if weight > 0
            ]
            begun = time.perf_counter()
            inside, prior = nested.rows(number), Prior.of(table.correct[kept])
            parts = [weight * logit(found.scores[0].probabilities) for found, weight in chosen]
            values[inside] = _combined(parts, calibration, prior, len(inside))
            probabilities[inside] = prior.humble(values[inside])
            seconds += time.perf_counter() - begun + sum(found.seconds for found, _ in chosen)
        return Scores(table.experts, values, probabilities), seconds

    @staticmethod
    def _held_out(nested: NestedFits, members: Sequence[Fit], number: int) -> NDArray[np.float32]:
        """Log-odds [members, rows outside the fold that are no repeats, experts] by fits that know neither fold."""
        table = nested.table
        found = np.full((len(members), len(table.rows), len(table.experts)), np.nan, np.float32)
        for other in nested.folds:
            if other != number:
                rows = nested.rows(other)
                for place, fit in enumerate(members):
                    found[place, rows] = logit(nested.without(fit, other, number).scores[0].probabilities)
        return found[:, (nested.fold != number) & [not row.repeat for row in table.rows]]


def _stacked(held_out: NDArray[np.float32], correct: Array, seed: int) -> tuple[NDArray[np.float64], Calibration]:
    """(weights, calibration) of members whose log-odds of unknown questions are [members, questions, experts]."""
    weights = _weigh(held_out, correct, seed)
    return weights, _calibration(np.tensordot(weights, held_out, 1).astype(np.float32), correct)


def _combined(parts: Sequence[Array], calibration: Calibration, prior: Prior, questions: int) -> Array:
    """Probabilities [questions, experts] from the members' weighted log-odds."""
    total = np.asarray(sum(parts, np.zeros((questions, len(prior.mean)))), np.float32)
    return np.where(prior.observations > 0, calibration(total), prior.mean).astype(np.float32)


def _calibration(scores: Array, correct: Array) -> Calibration:
    known = correct[~np.isnan(correct)]
    if known.size and known.min() < 1 and known.max() > 0:
        platt = Platt.fit(scores, correct)
        if platt.slope > 0:
            return platt
    return Platt(1.0, 0.0)


def _weigh(held_out: NDArray[np.float32], correct: Array, seed: int) -> NDArray[np.float64]:
    """Weights of the members, [members], from their log-odds [members, questions, experts]."""
    from scipy.optimize import minimize

    members, n, _ = held_out.shape
    rows = np.random.default_rng(seed).permutation(n)[:PAIR_ROWS]
    score = correct[rows]
    better = np.nan_to_num(score[:, :, None] * (1 - score[:, None, :]))
    mass = better.sum((1, 2))
    start = np.full(members, 1 / members)
    if not (mass > 0).any():
        return start
    # Every question counts once, however many pairs it has.
    question, a, b = np.nonzero(better)
    pair_weight = better[question, a, b] / mass[question]
    gap = (held_out[:, rows[question], a] - held_out[:, rows[question], b]).astype(np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = weights @ gap
        slope = -pair_weight / (1 + np.exp(np.clip(margin, -60, 60)))
        pull = TRUST * members * (weights - start)
        value = (pair_weight * np.logaddexp(0, -margin)).sum() + 0.5 * (pull * (weights - start)).sum()
        return float(value), gap @ slope + pull

    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * members)
    return _chosen(held_out, correct, np.asarray(found.x if found.x.any() else start))


def _chosen(held_out: NDArray[np.float32], correct: Array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights, or one member alone where that serves what is asked for: its first expert is right more often than
    the stack's by more than `SURE` standard errors, and its first `SEATS` are right no less often. Weights are fitted
    to rank well, which is not the same."""
    filled = np.nan_to_num(correct).astype(np.float64)
    stack = np.tensordot(weights, held_out, 1)
    first, seats = _right(stack, filled, 1), _right(stack, filled, SEATS)
    best, chosen = 0.0, weights
    for place, values in enumerate(held_out):
        gap = _right(values, filled, 1) - first
        sure = gap.mean() > max(best, SURE * gap.std() / np.sqrt(len(gap)))
        if sure and _right(values, filled, SEATS).mean() >= seats.mean():
            best, chosen = float(gap.mean()), np.eye(len(weights))[place]
    return chosen


def _right(values: NDArray[Any], filled: NDArray[np.float64], seats: int) -> NDArray[np.float64]:
    """Mean score of the first experts of each ranking, [questions]."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :seats]
    return np.asarray(np.take_along_axis(filled, order, 1).mean(1))
