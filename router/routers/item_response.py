"""Item response theory: how able an expert is, how hard a question is, and in which abilities it discriminates.

Multidimensional two-parameter model (MIRT) as IRT-Router has it (arXiv 2506.01048): probability of being right =
sigma(a(question) . theta(expert) - b(question)), discrimination a > 0 and difficulty b read from the embedding.
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

TOLERANCE = 1e-6
"""Of the loss: what a step must lower it by, for the search to go on."""


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
        if rank < 1 or penalty < 0:
            raise ValueError("item response needs rank >= 1 and penalty >= 0")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        centre = questions.embeddings.mean(0)
        inputs = questions.embeddings - centre
        dimensions, experts = inputs.shape[1], len(table.experts)
        cells = np.float32(max(float(known.sum()), 1.0))
        pull = np.float32(penalty / (len(inputs) * experts))
        start_abilities = np.tile(logit(prior.mean)[:, None] / rank, (1, rank)) / np.float32(np.log(2))

        def loss(parts: Sequence[Array]) -> tuple[float, Sequence[Array]]:
            projection, offsets, difficulty, abilities, base = parts
            # One product with the questions for both: [questions, abilities + 1].
            both = inputs @ np.column_stack([projection, difficulty])
            before = both[:, :rank] + offsets
            discrimination = softplus(before)
            logits = discrimination @ abilities.T - (both[:, rank:] + base)
            cross_entropy = (known * (softplus(logits) - score * logits)).sum(dtype=np.float64) / cells
            moved = abilities - start_abilities
            size = float((projection**2).sum() + (difficulty**2).sum() + (moved**2).sum())
            error = known * (chance(logits) - score) / cells
            inner = (error @ abilities) * chance(before)
            harder = error.sum(1)
            back = inputs.T @ np.column_stack([inner, -harder])
            return float(cross_entropy + pull * size), [
                back[:, :rank] + 2 * pull * projection,
                inner.sum(0),
                back[:, rank] + 2 * pull * difficulty,
                error.T @ discrimination + 2 * pull * moved,
                -harder.sum(keepdims=True),
            ]

        rng = np.random.default_rng(seed)
        start = [
            0.3 * rng.standard_normal((dimensions, rank)),
            np.zeros(rank),
            np.zeros(dimensions),
            start_abilities + 0.1 * rng.standard_normal((experts, rank)),
            np.zeros(1),
        ]
        projection, offsets, difficulty, abilities, base = minimised(loss, start, tolerance=TOLERANCE)
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
