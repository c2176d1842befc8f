"""A small neural network over the question's embedding that predicts all experts at once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table


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
        penalty: float = 10.0,
        iterations: int = 200,
        seed: int = 0,
    ) -> Self:
        """Least squares on score minus mean, by L-BFGS, with an L2 `penalty` (scikit-learn's alpha).

        Fractional scores are fitted as they are; a missing score counts as the expert's mean.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        surprise = known * (score - prior.mean)
        if len(table.experts) == 1:
            surprise = surprise[:, 0]
        model = MLPRegressor(
            hidden_layer_sizes=(units,), alpha=penalty, max_iter=iterations, random_state=seed, solver="lbfgs"
        )
        with warnings.catch_warnings():
            # Stopping early is as good here, and no failure.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(questions.embeddings, surprise)
        (hidden, output), (hidden_bias, output_bias) = model.coefs_, model.intercepts_
        seen = prior.observations > 0
        output, output_bias = output * seen, output_bias * seen
        arrays = [np.asarray(array, np.float32) for array in (hidden, hidden_bias, output, output_bias)]
        return cls(table.experts, prior, *arrays)

    def score(self, questions: Features) -> Scores:
        """Terms: the mean, and what the question adds to it."""
        units = np.maximum(questions.embeddings @ self.hidden + self.hidden_bias, 0)
        added = units @ self.output + self.output_bias
        values = self.prior.mean + added
        terms = {"mean": self.prior.mean, "question": added}
        return Scores(self.experts, values, self.prior.humble(np.clip(values, 0, 1)), terms)
