"""A router of your own: asks whoever was right on the most similar question.

PYTHONPATH=examples/extending collegium route -q "What is 2 + 3?" --table table.jsonl --router own_router:fit
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router import Features, Scores, Table
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows


@dataclass(frozen=True)
class NearestRouter(FittedRouter):
    """Fields are names and arrays, so that `save` and `load` work as they are."""

    embeddings: Array
    """[questions, dimensions]"""
    correct: Array
    """[questions, experts]"""

    def score(self, questions: Features) -> Scores:
        nearest = (questions.embeddings @ self.embeddings.T).argmax(1)
        chances = (self.correct[nearest] + self.prior.mean) / 2
        return Scores(self.experts, chances, chances, {"nearest": self.correct[nearest], "mean": self.prior.mean})


def fit(table: Table, questions: Features) -> NearestRouter:
    """Fitted on who answered what how well (`table`) and on the same questions as vectors."""
    table, questions = fitting_rows(table, questions)
    return NearestRouter(
        table.experts, Prior.of(table.correct), questions.embeddings, np.nan_to_num(table.correct).astype(np.float32)
    )
