"""k nearest neighbours: an expert is as good as it was on the questions most like this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table

CHUNK = 1024
LISTED = 5
"""Neighbours named as evidence."""
TEMPERATURES, SHRINKAGES = (0.1, 0.05, 0.2), (10.0, 30.0, 3.0, 1.0, 0.3)
"""That are tried; the first of each where the fitted questions cannot tell."""
JUDGED = 1_000
"""Questions by which settings are chosen; more make it slower, not better."""


@dataclass(frozen=True)
class KnnRouter(FittedRouter):
    """Mean score over the nearest fitted questions, weighted by similarity, shrunk towards the expert's mean.

    The k most similar questions, of cosine s_1 >= ... >= s_k, have weights w_i = exp((s_i - s_1) / temperature);
    probability = (sum w_i correct_i + shrinkage * mean) / (sum w_i + shrinkage). Few neighbours thus cannot
    overturn what all questions say of an expert, unless the fitted questions show that neighbours are to be trusted.
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
        temperature: float | None = None,
        shrinkage: float | None = None,
    ) -> Self:
        """Remember the questions. `neighbours` is capped at their number; `shrinkage` is in neighbours.

        A temperature or shrinkage of None is that of a few under which each question's scores are likeliest, told by
        the others (leave-one-out; equal texts are left out together). Raises ValueError for parameters out of range."""
        bad = (temperature is not None and temperature <= 0) or (shrinkage is not None and shrinkage < 0)
        if neighbours < 1 or bad:
            raise ValueError("kNN needs neighbours >= 1, temperature > 0 and shrinkage >= 0")
        table, questions = fitting_rows(table, questions)
        prior = Prior.of(table.correct)
        if temperature is None or shrinkage is None:
            temperature, shrinkage = _likeliest(
                table,
                questions.embeddings,
                prior.mean,
                neighbours,
                TEMPERATURES if temperature is None else (temperature,),
                SHRINKAGES if shrinkage is None else (shrinkage,),
            )
        return cls(
            table.experts,
            prior,
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
            similarity = questions.embeddings[start : start + CHUNK] @ self.embeddings.T
            weights = _weights(_nearest(similarity, self.neighbours), self.temperature)
            total[start : start + CHUNK] = weights @ score
            weight[start : start + CHUNK] = weights @ known
        mean = self.prior.mean
        values = (total + self.shrinkage * mean) / np.maximum(weight + self.shrinkage, 1e-9)
        values = np.where(weight + self.shrinkage > 0, values, mean)
        near = np.where(weight > 0, total / np.maximum(weight, 1e-9), mean)
        return Scores(self.experts, values, self.prior.humble(values), {"neighbours": near, "mean": mean})

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """The nearest fitted questions by id, with their cosine similarity."""
        found = []
        for vector in questions.embeddings:
            similarity = self.embeddings @ vector
            nearest = np.argsort(-similarity, kind="stable")[:LISTED]
            found.append(tuple(Evidence("neighbour", self.ids[index], float(similarity[index])) for index in nearest))
        return found


def _nearest(similarity: Array, count: int) -> Array:
    """[questions, fitted questions], -inf outside the `count` nearest."""
    if count >= similarity.shape[1]:
        return similarity
    threshold = np.partition(similarity, -count, axis=1)[:, -count, None]
    return np.where(similarity < threshold, np.float32(-np.inf), similarity)


def _weights(similarity: Array, temperature: float) -> Array:
    """1 for the nearest of each row, less for those less similar."""
    return np.asarray(np.exp((similarity - similarity.max(1, keepdims=True)) / temperature), np.float32)


def _likeliest(
    table: Table,
    embeddings: Array,
    mean: Array,
    neighbours: int,
    temperatures: Sequence[float],
    shrinkages: Sequence[float],
) -> tuple[float, float]:
    """(temperature, shrinkage): of least log-loss on questions that are left out one at a time."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(table.questions))}
    texts = np.array([numbers[text] for text in table.questions])
    rows = np.sort(np.random.default_rng(0).permutation(len(texts))[:JUDGED])
    similarity = embeddings[rows] @ embeddings.T
    similarity[texts[rows, None] == texts] = -np.inf
    kept = np.isfinite(similarity).any(1)
    score, known = known_scores(table.correct)
    wanted, seen = score[rows][kept], known[rows][kept] > 0
    nearest = _nearest(similarity[kept], neighbours)
    losses: dict[tuple[float, float], float] = {}
    for temperature in temperatures:
        weights = _weights(nearest, temperature)
        total, weight = weights @ score, weights @ known
        for shrinkage in shrinkages:
            p = np.clip((total + shrinkage * mean) / np.maximum(weight + shrinkage, 1e-9), 1e-3, 1 - 1e-3)
            cells = wanted * np.log(p) + (1 - wanted) * np.log(1 - p)
            losses[temperature, shrinkage] = -float(cells[seen].sum(dtype=np.float64))
    return min(losses, key=lambda setting: losses[setting])
