"""Whether a question is like those that a router was fitted on: elsewhere its ranking rests on nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features

QUANTILE = 0.02
"""Share of the fitted questions that would themselves count as unlike the others."""
RELATED = 0.4
"""Cosine from which two questions count as related however alike the fitted ones are among themselves. Of 96 questions
6% are below it to the nearest one of the same tasks in other words (35% below 0.5), of 50 everyday chats 92%."""
JUDGED = 2_000
"""Fitted questions on which the threshold is calibrated."""


@dataclass(frozen=True)
class Familiarity:
    """The fitted questions, and the cosine to the nearest of them below which a question is unlike all."""

    embeddings: NDArray[np.float32]
    """[fitted questions, dimensions]"""
    threshold: float

    @classmethod
    def fit(cls, texts: Sequence[str], questions: Features) -> Self:
        """The threshold is the `QUANTILE` of each fitted question's cosine to the nearest other text, at most
        `RELATED`; with one text there is nothing to compare, and every question counts as familiar."""
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        place = np.array([numbers[text] for text in texts])
        rows = np.random.default_rng(0).permutation(len(texts))[:JUDGED]
        similarity = questions.embeddings[rows] @ questions.embeddings.T
        similarity[place[rows, None] == place] = -1
        threshold = min(float(np.quantile(similarity.max(1), QUANTILE)), RELATED)
        return cls(questions.embeddings, threshold if len(numbers) > 1 else -1.0)

    def nearest(self, questions: Features) -> NDArray[np.float32]:
        """Cosine to the nearest fitted question, [questions]."""
        return np.asarray((questions.embeddings @ self.embeddings.T).max(1), np.float32)
