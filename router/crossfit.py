"""Judging a router on questions that it was not fitted on: folds, and predictions from outside the fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features
from router.ranking import Router, Scores
from router.table import Table

Fit: TypeAlias = Callable[[Table, Features], Router]
"""How a router is made; fix settings with `functools.partial`."""


def folds(table: Table, count: int, seed: int = 0) -> NDArray[np.intp]:
    """Fold of each row, [questions], 0..count-1. Equal question texts fall into one fold; sizes differ little.
    Raises ValueError for fewer than two folds or more folds than questions."""
    texts = {text: index for index, text in enumerate(dict.fromkeys(table.questions))}
    if not 2 <= count <= len(texts):
        raise ValueError(f"{count} folds need 2 to {len(texts)}: the table has {len(texts)} different questions")
    fold = np.empty(len(texts), np.intp)
    fold[np.random.default_rng(seed).permutation(len(texts))] = np.arange(len(texts)) % count
    return fold[[texts[text] for text in table.questions]]


def out_of_fold(fit: Fit, table: Table, questions: Features, fold: NDArray[np.intp]) -> Scores:
    """Scores (questions, experts) of every row by a router fitted on the other folds. Terms are left out."""
    values = np.empty((len(table.rows), len(table.experts)), np.float32)
    probabilities = np.empty_like(values)
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        scores = fit(table.take(outside), questions.take(outside)).score(questions.take(inside))
        values[inside], probabilities[inside] = scores.values, scores.probabilities
    return Scores(table.experts, values, probabilities)
