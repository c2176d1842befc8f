"""Linear routers: one weight vector an expert, learned without training or by logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Scores
from router.routers.descent import chance, minimised, softplus
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores, logit, sigmoid
from router.table import Table

TOLERANCE = 1e-6
"""Of the loss: what a step must lower it by, for the search to go on."""


@dataclass(frozen=True)
class PromptVectorRouter(FittedRouter):
    """Training-free: an expert's vector sums the fitted questions, each times how much better it did than usual.

    probability = mean + slope * question . vector. The slope is the same for all experts: the least-squares one
    when every fitted question is judged by vectors made without it.
    """

    vectors: Array
    """[dimensions, experts]"""
    slope: float

    @classmethod
    def fit(cls, table: Table, questions: Features) -> Self:
        """One pass over the questions; nothing is tuned."""
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        surprise = known * (score - prior.mean)
        centred = questions.embeddings - questions.embeddings.mean(0)
        vectors = centred.T @ surprise / max(len(centred), 1)
        own = (centred**2).sum(1, keepdims=True) * surprise / max(len(centred), 1)
        without = centred @ vectors - own
        slope = float((known * without * surprise).sum() / max(float((known * without**2).sum()), 1e-12))
        return cls(table.experts, prior, vectors, max(slope, 0.0))

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and what the question adds to it."""
        added = self.slope * (questions.embeddings @ self.vectors)
        values = self.prior.mean + added
        terms = {"mean": self.prior.mean, "question": added}
        return Scores(self.experts, values, self.prior.humble(np.clip(values, 0, 1)), terms)


@dataclass(frozen=True)
class LogisticRouter(FittedRouter):
    """Logistic regression of being right on the question's embedding, one an expert, with an L2 penalty."""

    weights: Array
    """[dimensions, experts]"""
    intercepts: Array
    """[experts]"""

    @classmethod
    def fit(cls, table: Table, questions: Features, *, strength: float = 0.3) -> Self:
        """By L-BFGS. `strength`: C as scikit-learn has it, the inverse of the penalty on the weights (never on the
        intercept).

        A fractional score counts as a right and a wrong answer of that weight. An expert that was always right,
        always wrong or never asked keeps its mean. Raises ValueError for parameters out of range."""
        if strength <= 0:
            raise ValueError(f"strength must be positive, is {strength}")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        centre = questions.embeddings.mean(0)
        inputs = questions.embeddings - centre
        score, known = known_scores(table.correct)
        # All experts at once: their weights have no part of the loss in common.
        learned = ((known * score).sum(0) > 0) & ((known * (1 - score)).sum(0) > 0)
        known = known * learned
        scale = np.float32(1 / len(inputs))
        pull = np.float32(1 / (strength * len(inputs)))

        def loss(parts: Sequence[Array]) -> tuple[float, Sequence[Array]]:
            weights, intercepts = parts
            logits = inputs @ weights + intercepts
            cross_entropy = (known * (softplus(logits) - score * logits)).sum(dtype=np.float64) * scale
            error = known * (chance(logits) - score) * scale
            size = float((weights**2).sum(dtype=np.float64))
            return float(cross_entropy + pull * size / 2), [inputs.T @ error + pull * weights, error.sum(0)]

        start = [np.zeros((inputs.shape[1], len(table.experts))), logit(prior.mean)]
        weights, intercepts = minimised(loss, start, tolerance=TOLERANCE)
        intercepts -= centre @ weights
        return cls(table.experts, prior, weights, intercepts)

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and the log-odds that the question adds to the mean's."""
        logits = questions.embeddings @ self.weights + self.intercepts
        values = sigmoid(logits)
        added = logits - logit(self.prior.mean)
        return Scores(self.experts, values, self.prior.humble(values), {"mean": self.prior.mean, "question": added})
