"""Routers that do not look at the question: what every other router has to beat."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Scores
from router.routers.fitted import FittedRouter, Prior, fitting_rows
from router.table import Table


@dataclass(frozen=True)
class BestRouter(FittedRouter):
    """Every question to the expert that was best on the fitted questions, then the second best, and so on."""

    @classmethod
    def fit(cls, table: Table, questions: Features) -> Self:
        """From the mean of each expert alone; `questions` are only counted."""
        table, _ = fitting_rows(table, questions)
        return cls(table.experts, Prior.of(table.correct))

    def score(self, questions: Features) -> Scores:
        """The same for every question: each expert's mean."""
        values = np.tile(self.prior.mean, (len(questions), 1))
        return Scores(self.experts, values, values, {"mean": self.prior.mean})


@dataclass(frozen=True)
class RandomRouter(FittedRouter):
    """Experts in random order; the order of one question depends on its embedding and the seed alone."""

    seed: int = 0

    @classmethod
    def fit(cls, table: Table, questions: Features, *, seed: int = 0) -> Self:
        """Learns the means only, as probabilities of being right."""
        table, _ = fitting_rows(table, questions)
        return cls(table.experts, Prior.of(table.correct), seed)

    def score(self, questions: Features) -> Scores:
        """Uniform random scores."""
        values = np.empty((len(questions), len(self.experts)), np.float32)
        for row, vector in enumerate(questions.embeddings):
            digest = hashlib.sha256(vector.tobytes() + str(self.seed).encode()).digest()
            values[row] = np.random.default_rng(int.from_bytes(digest[:8])).random(len(self.experts))
        probabilities = np.tile(self.prior.mean, (len(questions), 1))
        return Scores(self.experts, values, probabilities, {"mean": self.prior.mean})
