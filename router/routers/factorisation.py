"""Matrix factorisation: questions and experts as vectors in one small space.

RouteLLM (arXiv 2406.18665) and EmbedLLM (arXiv 2410.02223) learn sigma(v_expert . W question + bias): the experts
share the few directions in which questions differ, so that each one's vector needs few observations.
"""

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


@dataclass(frozen=True)
class FactorisationRouter(FittedRouter):
    """log-odds of being right = bias of the expert + (projected question) . (expert's vector)."""

    projection: Array
    """[dimensions, rank]"""
    centre: Array
    """[dimensions], mean of the fitted questions"""
    vectors: Array
    """[experts, rank]"""
    biases: Array
    """[experts]"""

    @classmethod
    def fit(cls, table: Table, questions: Features, *, rank: int = 8, penalty: float = 10.0, seed: int = 0) -> Self:
        """Penalised maximum likelihood over the known cells, by L-BFGS.

        `penalty` weighs the squared length of projection and vectors (an expert) against the summed log-loss
        (an expert): it is in questions, and the more there are of them, the less it counts. Raises ValueError for
        parameters out of range."""
        if rank < 1 or penalty < 0:
            raise ValueError("factorisation needs rank >= 1 and penalty >= 0")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        centre = questions.embeddings.mean(0)
        inputs = questions.embeddings - centre
        dimensions, experts = inputs.shape[1], len(table.experts)
        cells = np.float32(max(float(known.sum()), 1.0))
        pull = np.float32(penalty / (len(inputs) * experts))

        def loss(parts: Sequence[Array]) -> tuple[float, Sequence[Array]]:
            projection, vectors, biases = parts
            hidden = inputs @ projection
            logits = hidden @ vectors.T + biases
            cross_entropy = (known * (softplus(logits) - score * logits)).sum(dtype=np.float64) / cells
            size = float((projection**2).sum() + (vectors**2).sum())
            error = known * (chance(logits) - score) / cells
            return float(cross_entropy + pull * size), [
                inputs.T @ (error @ vectors) + 2 * pull * projection,
                error.T @ hidden + 2 * pull * vectors,
                error.sum(0),
            ]

        rng = np.random.default_rng(seed)
        start = [0.3 * rng.standard_normal((dimensions, rank)), 0.3 * rng.standard_normal((experts, rank))]
        projection, vectors, biases = minimised(loss, [*start, logit(prior.mean)])
        biases = np.where(prior.observations > 0, biases, logit(prior.mean)).astype(np.float32)
        vectors = vectors * (prior.observations > 0)[:, None].astype(np.float32)
        return cls(table.experts, prior, projection, centre, vectors, biases)

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and the log-odds that the question adds to the mean's."""
        hidden = (questions.embeddings - self.centre) @ self.projection
        logits = np.asarray(hidden @ self.vectors.T + self.biases, np.float32)
        values = sigmoid(logits)
        added = logits - logit(self.prior.mean)
        return Scores(self.experts, values, self.prior.humble(values), {"mean": self.prior.mean, "question": added})
