"""Matrix factorisation: questions and experts as vectors in one small space.

RouteLLM (arXiv 2406.18665) and EmbedLLM (arXiv 2410.02223) learn sigma(v_expert . W question + bias): the experts
share the few directions in which questions differ, so that each one's vector needs few observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features
from router.ranking import Scores
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
        from scipy.optimize import minimize

        if rank < 1 or penalty < 0:
            raise ValueError("factorisation needs rank >= 1 and penalty >= 0")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = (array.astype(np.float64) for array in known_scores(table.correct))
        centre = questions.embeddings.mean(0)
        inputs = (questions.embeddings - centre).astype(np.float64)
        dimensions, experts = inputs.shape[1], len(table.experts)
        cells = max(known.sum(), 1.0)
        pull = penalty / (len(inputs) * experts)
        shapes = [(dimensions, rank), (experts, rank), (experts,)]
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

        def parts(flat: NDArray[np.float64]) -> list[NDArray[np.float64]]:
            return [p.reshape(shape) for p, shape in zip(np.split(flat, cuts), shapes, strict=True)]

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            projection, vectors, biases = parts(flat)
            hidden = inputs @ projection
            logits = hidden @ vectors.T + biases
            cross_entropy = (known * (np.logaddexp(0, logits) - score * logits)).sum() / cells
            size = (projection**2).sum() + (vectors**2).sum()
            error = known * (1 / (1 + np.exp(-np.clip(logits, -60, 60))) - score) / cells
            gradient = [
                inputs.T @ (error @ vectors) + 2 * pull * projection,
                error.T @ hidden + 2 * pull * vectors,
                error.sum(0),
            ]
            return float(cross_entropy + pull * size), np.concatenate([g.ravel() for g in gradient])

        rng = np.random.default_rng(seed)
        start = [0.3 * rng.standard_normal(shape) for shape in shapes[:2]] + [logit(prior.mean).astype(np.float64)]
        found: Any = minimize(
            loss, np.concatenate([p.ravel() for p in start]), jac=True, method="L-BFGS-B", options={"maxiter": 300}
        )
        projection, vectors, biases = (part.astype(np.float32) for part in parts(found.x))
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
