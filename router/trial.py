"""Which questions a router is fitted on and which it is judged on, so that none is both."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.crossfit import Fit, folds
from router.embedding import Features
from router.nested import NestedFits
from router.ranking import Scores
from router.table import Table

FOLDS = 5


@dataclass(frozen=True, slots=True)
class RoutingTrial:
    """What is fitted and what is tested. Without `fit`, `test` is cross-validated."""

    test: Table
    test_features: Features
    fit: Table | None = None
    fit_features: Features | None = None
    fitted_on: str = "5-fold cross-validation"
    tested_on: str = "all questions"
    notes: tuple[str, ...] = ()

    def nested(self, seed: int) -> NestedFits:
        """The table that is fitted, in folds by `seed`: of the tested one under cross-validation."""
        table = self.test if self.fit is None else self.fit
        features = self.test_features if self.fit_features is None else self.fit_features
        return NestedFits(table, features, folds(table, self._count(table), seed))

    def scores(self, fit: Fit, nested: NestedFits) -> tuple[Scores, float]:
        """(scores of the tested questions by a router that was not fitted on them, seconds that scoring took).
        `nested`: fits to share with other routers of the same seed, under cross-validation."""
        if self.fit is None or self.fit_features is None:
            return crossfitted(fit, nested)
        router = fit(self.fit, self.fit_features)
        begun = time.perf_counter()
        found = router.score(self.test_features)
        return found, time.perf_counter() - begun

    def best_columns(self) -> NDArray[np.intp]:
        """For each tested question, the expert that was best on the questions fitted for it."""
        if self.fit is not None:
            return np.full(len(self.test.rows), _best(self.fit), np.intp)
        part = folds(self.test, self._count(self.test))
        columns = np.zeros(len(self.test.rows), np.intp)
        for number in np.unique(part):
            others = self.test.take(np.flatnonzero(part != number))
            columns[part == number] = _best(others.where(lambda row: not row.repeat))
        return columns

    def _count(self, table: Table) -> int:
        return max(2, min(FOLDS, len(set(table.questions))))


def crossfitted(fit: Fit, nested: NestedFits) -> tuple[Scores, float]:
    """(scores of every row by a router that was not fitted on its fold, seconds that scoring took). A router that is
    made of others shares their fits, where it can."""
    own = getattr(fit, "crossfitted", None)
    if callable(own) and len(nested.folds) > 2:
        scores, seconds = own(nested)
        return scores, seconds
    return nested.out_of_fold(fit)


def trial(
    table: Table,
    features: Features,
    *,
    train_split: str | None = None,
    test_split: str | None = None,
    fit: tuple[Table, Features] | None = None,
) -> RoutingTrial:
    """Choose the parts: the splits named; else `train` and `test` if the table has both; else another table to
    fit on; else cross-validation. Questions that are also tested are never fitted.

    Raises TableError for a split that is not there or leaves nothing, or another table with other experts.
    """
    if fit is None and train_split is None and test_split is None and {"train", "test"} <= set(table.splits):
        train_split, test_split = "train", "test"
    tested, name = list(range(len(table.rows))), "all questions"
    if test_split is not None:
        table.split(test_split)
        tested, name = [i for i, row in enumerate(table.rows) if row.split == test_split], f"split {test_split}"
    test, test_features = table.take(tested), features.take(tested)
    if fit is not None:
        source, source_features = fit[0].select_experts(table.experts), fit[1]
        fitted = [i for i, row in enumerate(source.rows) if train_split in (None, row.split)]
        origin = "another table" if train_split is None else f"split {train_split} of another table"
    elif train_split is not None or test_split is not None:
        source, source_features = table, features
        if train_split is not None:
            table.split(train_split)
        fitted = [i for i, row in enumerate(table.rows) if row.split == train_split]
        fitted = fitted if train_split is not None else sorted(set(range(len(table.rows))) - set(tested))
        origin = f"split {train_split}" if train_split is not None else f"all but split {test_split}"
    else:
        return RoutingTrial(test, test_features)
    asked = set(test.questions)
    kept = [i for i in fitted if source.rows[i].question not in asked and not source.rows[i].repeat]
    notes = [f"{len(fitted) - len(kept)} rows of {origin} were not fitted: repeated, or tested too"]
    return RoutingTrial(
        test,
        test_features,
        source.take(kept),
        source_features.take(kept),
        origin,
        name,
        tuple(notes if len(kept) < len(fitted) else ()),
    )


def _best(table: Table) -> int:
    known = ~np.isnan(table.correct)
    return int(np.argmax(np.nan_to_num(table.correct).sum(0) / np.maximum(known.sum(0), 1)))
