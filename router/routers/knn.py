"""k nearest neighbours: an expert is as good as it was on the questions most like this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table

CHUNK = 1024
SHOWN = 5
"""Neighbours named as evidence."""


@dataclass(frozen=True)
class KnnRouter(FittedRouter):
    """Mean score over the nearest fitted questions, weighted by similarity, shrunk towards the expert's mean.

    The k most similar questions, of cosine s_1 >= ... >= s_k, have weights w_i = exp((s_i - s_1) / temperature);
    probability = (sum w_i correct_i + shrinkage * mean) / (sum w_i + shrinkage). Few neighbours thus cannot
    overturn what all questions say of an expert.
    """

    ids: tuple[str, ...]
    embeddings: Array
    """[fitted questions, dimensions]"""
    correct: Array
    """[fitted questions, experts], NaN for missing"""
    neighbours: int
    temperature: float
    shrinkage: float

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        neighbours: int = 100,
        temperature: float = 0.1,
        shrinkage: float = 10.0,
    ) -> Self:
        """Remember the questions. `neighbours` is capped at their number; `shrinkage` is in neighbours."""
        if neighbours < 1 or temperature <= 0 or shrinkage < 0:
            raise ValueError("kNN needs neighbours >= 1, temperature > 0 and shrinkage >= 0")
        table, questions = fitting_rows(table, questions)
        return cls(
            table.experts,
            Prior.of(table.correct),
            table.ids,
            questions.embeddings,
            table.correct,
            min(neighbours, len(table.rows)),
            temperature,
            shrinkage,
        )

    def score(self, questions: Features) -> Scores:
        """Probability of being right near each question; a term each for the neighbours and the mean."""
        score, known = known_scores(self.correct)
        total = np.empty((len(questions), len(self.experts)), np.float32)
        weight = np.empty_like(total)
        for start in range(0, len(questions), CHUNK):
            weights = self._weights(questions.embeddings[start : start + CHUNK])
            total[start : start + CHUNK] = weights @ score
            weight[start : start + CHUNK] = weights @ known
        mean = self.prior.mean
        values = (total + self.shrinkage * mean) / np.maximum(weight + self.shrinkage, 1e-9)
        values = np.where(weight + self.shrinkage > 0, values, mean)
        near = np.where(weight > 0, total / np.maximum(weight, 1e-9), mean)
        return Scores(self.experts, values, values, {"neighbours": near, "mean": mean})

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """The nearest fitted questions by id, with their cosine similarity."""
        found = []
        for vector in questions.embeddings:
            similarity = self.embeddings @ vector
            nearest = np.argsort(-similarity, kind="stable")[:SHOWN]
            found.append(tuple(Evidence("neighbour", self.ids[index], float(similarity[index])) for index in nearest))
        return found

    def _weights(self, embeddings: Array) -> Array:
        """[questions, fitted questions], zero outside the nearest."""
        similarity = embeddings @ self.embeddings.T
        weights = np.exp((similarity - similarity.max(1, keepdims=True)) / self.temperature)
        if self.neighbours < similarity.shape[1]:
            threshold = np.partition(similarity, -self.neighbours, axis=1)[:, -self.neighbours, None]
            weights[similarity < threshold] = 0
        return np.asarray(weights, np.float32)
