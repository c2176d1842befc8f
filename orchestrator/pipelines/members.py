"""Whom a mixture needs: experts are added while questions that nobody was fitted on say that it pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.crossfit import folds, out_of_fold
from router.embedding import Features
from router.routers import DEFAULT, maker
from router.table import Table

FOLDS = 5


@dataclass(frozen=True)
class MemberEstimate:
    """What the mixture's router, fitted on other questions, expects of each expert, and what each got right."""

    experts: tuple[str, ...]
    expected: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    """[questions, experts]"""
    correct: np.ndarray[tuple[int, int], np.dtype[np.float32]]

    @classmethod
    def of(cls, table: Table, questions: Features, seed: int) -> MemberEstimate:
        """Judged out of fold; fewer folds where there are few questions."""
        count = min(FOLDS, len(set(table.questions)))
        scores = out_of_fold(maker(DEFAULT, seed), table, questions, folds(table, count, seed))
        return cls(table.experts, scores.values, np.nan_to_num(table.correct))

    def accuracy(self, names: Sequence[str]) -> float:
        """The share of questions right when the router picks one of `names` for each."""
        columns = [self.experts.index(name) for name in names]
        picked = self.expected[:, columns].argmax(1)
        return float(self.correct[:, columns][np.arange(len(picked)), picked].mean())

    def members(self, min_gain: float) -> tuple[str, ...]:
        """Begin with the best single expert; add whoever gains most, while that is at least `min_gain`; at last
        leave out whose absence costs nothing. In the table's order."""
        alone = {name: self.accuracy([name]) for name in self.experts}
        chosen = [max(self.experts, key=lambda name: alone[name])]
        while left := [name for name in self.experts if name not in chosen]:
            gains = {name: self.accuracy([*chosen, name]) for name in left}
            # Of equals, the better one alone.
            best = max(left, key=lambda name: (gains[name], alone[name]))
            if gains[best] - self.accuracy(chosen) < min_gain:
                break
            chosen.append(best)
        for name in list(chosen):
            others = [other for other in chosen if other != name]
            if others and self.accuracy(others) >= self.accuracy(chosen):
                chosen = others
        return tuple(name for name in self.experts if name in chosen)
