"""A small neural network over the question's embedding that predicts all experts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features
from router.ranking import Scores
from router.routers.descent import minimised
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table

TOLERANCE = 1e-6
"""Of the loss: what a step must lower it by, for the search to go on."""


@dataclass(frozen=True)
class MlpRouter(FittedRouter):
    """One hidden ReLU layer, shared by the experts; its outputs are added to each expert's mean."""

    hidden: Array
    """[dimensions, units]"""
    hidden_bias: Array
    output: Array
    """[units, experts]"""
    output_bias: Array

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        units: int = 64,
        penalty: float = 20.0,
        iterations: int = 200,
        seed: int = 0,
    ) -> Self:
        """Least squares on score minus mean, by L-BFGS, with an L2 `penalty` (scikit-learn's alpha, and its start).

        Fractional scores are fitted as they are; a missing score counts as the expert's mean.
        """
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        surprise = known * (score - prior.mean)
        inputs = np.ascontiguousarray(questions.embeddings, np.float32)
        count, width = surprise.shape
        scale, pull = np.float32(1 / count), np.float32(penalty / count)

        def loss(parts: Sequence[Array]) -> tuple[float, Sequence[Array]]:
            hidden, hidden_bias, output, output_bias = parts
            active = inputs @ hidden
            active += hidden_bias
            np.maximum(active, 0, out=active)
            error = active @ output
            error += output_bias - surprise
            size = float((hidden**2).sum(dtype=np.float64) + (output**2).sum(dtype=np.float64))
            value = 0.5 * float(scale) * float((error**2).sum(dtype=np.float64)) + 0.5 * float(pull) * size
            error *= scale
            back = error @ output.T
            back *= active > 0
            return value, [
                inputs.T @ back + pull * hidden,
                back.sum(0),
                active.T @ error + pull * output,
                error.sum(0),
            ]

        start = _start(np.random.RandomState(seed), inputs.shape[1], units, width)
        hidden, hidden_bias, output, output_bias = minimised(loss, start, iterations=iterations, tolerance=TOLERANCE)
        seen = prior.observations > 0
        return cls(table.experts, prior, hidden, hidden_bias, np.asarray(output * seen), np.asarray(output_bias * seen))

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and what the question adds to it."""
        units = np.maximum(questions.embeddings @ self.hidden + self.hidden_bias, 0)
        added = units @ self.output + self.output_bias
        values = self.prior.mean + added
        terms = {"mean": self.prior.mean, "question": added}
        return Scores(self.experts, values, self.prior.humble(np.clip(values, 0, 1)), terms)


def _start(rng: np.random.RandomState, dimensions: int, units: int, experts: int) -> list[NDArray[Any]]:
    """Weights and biases from a uniform distribution by the layers' widths (Glorot), layer by layer."""
    arrays: list[NDArray[Any]] = []
    for before, after in ((dimensions, units), (units, experts)):
        bound = np.sqrt(6 / (before + after))
        arrays += [rng.uniform(-bound, bound, (before, after)), rng.uniform(-bound, bound, after)]
    return arrays
