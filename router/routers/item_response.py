"""Item response theory: how able an expert is, how hard a question is, and in which abilities it discriminates.

Multidimensional two-parameter model (MIRT) as IRT-Router has it (arXiv 2506.01048): probability of being right =
sigma(a(question) . theta(expert) - b(question)), discrimination a > 0 and difficulty b read from the embedding.
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
class ItemResponseRouter(FittedRouter):
    """Experts have abilities, questions discriminations and a difficulty. More of an ability never hurts."""

    projection: Array
    """[dimensions, abilities], from a question to its discriminations (before softplus)"""
    offsets: Array
    """[abilities]"""
    difficulty: Array
    """[dimensions]"""
    centre: Array
    """[dimensions], mean of the fitted questions"""
    abilities: Array
    """[experts, abilities]"""
    base: float
    """Difficulty of the mean question."""

    @classmethod
    def fit(cls, table: Table, questions: Features, *, rank: int = 8, penalty: float = 10.0, seed: int = 0) -> Self:
        """Penalised maximum likelihood over the known cells, by L-BFGS. `rank`: abilities; `penalty` as in matrix
        factorisation: in questions, on projection, difficulty, and abilities. Raises ValueError for parameters out
        of range."""
        from scipy.optimize import minimize

        if rank < 1 or penalty < 0:
            raise ValueError("item response needs rank >= 1 and penalty >= 0")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = (array.astype(np.float64) for array in known_scores(table.correct))
        centre = questions.embeddings.mean(0)
        inputs = (questions.embeddings - centre).astype(np.float64)
        dimensions, experts = inputs.shape[1], len(table.experts)
        cells = max(known.sum(), 1.0)
        pull = penalty / (len(inputs) * experts)
        shapes = [(dimensions, rank), (rank,), (dimensions,), (experts, rank), (1,)]
        cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        start_abilities = np.tile(logit(prior.mean).astype(np.float64)[:, None] / rank, (1, rank)) / np.log(2)

        def parts(flat: NDArray[np.float64]) -> list[NDArray[np.float64]]:
            return [p.reshape(shape) for p, shape in zip(np.split(flat, cuts), shapes, strict=True)]

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            projection, offsets, difficulty, abilities, base = parts(flat)
            before = inputs @ projection + offsets
            discrimination = np.logaddexp(0, before)
            logits = discrimination @ abilities.T - (inputs @ difficulty + base)[:, None]
            cross_entropy = (known * (np.logaddexp(0, logits) - score * logits)).sum() / cells
            moved = abilities - start_abilities
            size = (projection**2).sum() + (difficulty**2).sum() + (moved**2).sum()
            error = known * (1 / (1 + np.exp(-np.clip(logits, -60, 60))) - score) / cells
            inner = (error @ abilities) / (1 + np.exp(-np.clip(before, -60, 60)))
            harder = error.sum(1)
            gradient = [
                inputs.T @ inner + 2 * pull * projection,
                inner.sum(0),
                -(inputs.T @ harder) + 2 * pull * difficulty,
                error.T @ discrimination + 2 * pull * moved,
                -harder.sum(keepdims=True),
            ]
            return float(cross_entropy + pull * size), np.concatenate([g.ravel() for g in gradient])

        rng = np.random.default_rng(seed)
        start = [
            0.3 * rng.standard_normal(shapes[0]),
            np.zeros(rank),
            np.zeros(dimensions),
            start_abilities + 0.1 * rng.standard_normal(shapes[3]),
            np.zeros(1),
        ]
        found: Any = minimize(
            loss, np.concatenate([p.ravel() for p in start]), jac=True, method="L-BFGS-B", options={"maxiter": 300}
        )
        projection, offsets, difficulty, abilities, base = (part.astype(np.float32) for part in parts(found.x))
        return cls(table.experts, prior, projection, offsets, difficulty, centre, abilities, float(base[0]))

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and the question's difficulty. An expert without a profile has its prior."""
        inputs = questions.embeddings - self.centre
        discrimination = np.logaddexp(0, inputs @ self.projection + self.offsets)
        hard = inputs @ self.difficulty + self.base
        values = sigmoid(np.asarray(discrimination @ self.abilities.T - hard[:, None], np.float32))
        values = np.where(self.prior.observations > 0, values, self.prior.mean).astype(np.float32)
        repeated = np.broadcast_to(hard[:, None], values.shape).astype(np.float32)
        return Scores(
            self.experts, values, self.prior.humble(values), {"mean": self.prior.mean, "difficulty": repeated}
        )
