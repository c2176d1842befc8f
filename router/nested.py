"""Fits that several routers share under cross-validation: without one fold, and without two.

A mixture of routers that is judged without fold k weighs its members on the other folds: each fold j by members that
were fitted without j and k. Such a fit serves fold j and fold k alike, and the members' own fits without k are those
by which they are judged themselves. So n folds need n + n(n-1)/2 fits per member, and not n(n+1).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from router.crossfit import Fit
from router.embedding import Features
from router.ranking import Scores
from router.table import Table


@dataclass(frozen=True, slots=True)
class FoldScores:
    """What a router that was not fitted on some folds scores on them."""

    scores: tuple[Scores, ...]
    """One per fold that was left out, of its rows in the table's order. Terms are left out."""
    seconds: float
    """That scoring took, in all."""


@dataclass
class NestedFits:
    """One table in folds, and the fits that were made of it so far. Safe to use from several threads: whoever asks for
    a fit that another thread is making waits for it."""

    table: Table
    questions: Features
    fold: NDArray[np.intp]
    """Fold of each row, 0..count-1, [questions]"""
    _found: dict[Hashable, FoldScores] = field(default_factory=dict)
    _locks: dict[Hashable, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def folds(self) -> list[int]:
        """The folds' numbers."""
        return [int(number) for number in np.unique(self.fold)]

    def rows(self, *folds: int) -> NDArray[np.intp]:
        """The rows of some folds, in the table's order."""
        return np.flatnonzero(np.isin(self.fold, folds))

    def without(self, fit: Fit, *folds: int) -> FoldScores:
        """The scores of the rows of each of `folds` by a router fitted on all others."""
        left_out = tuple(sorted(folds))
        key = (identity(fit), left_out)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._found:
                self._found[key] = self._scored(fit, left_out)
            found = self._found[key]
        return FoldScores(tuple(found.scores[left_out.index(number)] for number in folds), found.seconds)

    def out_of_fold(self, fit: Fit) -> tuple[Scores, float]:
        """(scores of every row by a router that was not fitted on its fold, seconds that scoring took)."""
        values = np.empty((len(self.table.rows), len(self.table.experts)), np.float32)
        probabilities = np.empty_like(values)
        seconds = 0.0
        for number in self.folds:
            found = self.without(fit, number)
            rows = self.rows(number)
            values[rows], probabilities[rows] = found.scores[0].values, found.scores[0].probabilities
            seconds += found.seconds
        return Scores(self.table.experts, values, probabilities), seconds

    def _scored(self, fit: Fit, left_out: tuple[int, ...]) -> FoldScores:
        kept = np.flatnonzero(~np.isin(self.fold, left_out))
        router = fit(self.table.take(kept), self.questions.take(kept))
        scores, seconds = [], 0.0
        for number in left_out:
            questions = self.questions.take(self.rows(number))
            begun = time.perf_counter()
            found = router.score(questions)
            seconds += time.perf_counter() - begun
            scores.append(Scores(found.experts, found.values, found.probabilities))
        return FoldScores(tuple(scores), seconds)


def identity(fit: Fit) -> Hashable:
    """What two ways to fit have in common exactly where they make the same router: function and settings."""
    if isinstance(fit, partial):
        settings = tuple(sorted((name, repr(value)) for name, value in fit.keywords.items()))
        return (fit.func, fit.args, settings)
    return fit
