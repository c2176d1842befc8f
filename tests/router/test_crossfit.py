"""Folds, and scores that never saw their question."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from router import Features, Table
from router.crossfit import folds, out_of_fold

World = tuple[Table, Features]


def test_folds_keep_equal_questions_together_and_differ_by_seed(unseen: World) -> None:
    rows = [replace(row, question=f"question {index % 40}") for index, row in enumerate(unseen[0].rows)]
    table = Table(tuple(rows), unseen[0].experts)
    fold = folds(table, 5)
    for text in set(table.questions):
        assert len({int(f) for f, question in zip(fold, table.questions, strict=True) if question == text}) == 1
    assert np.bincount(fold).tolist() == [80] * 5
    assert (folds(table, 5, 1) != fold).any()
    with pytest.raises(ValueError, match="41 folds need 2 to 40"):
        folds(table, 41)


def test_out_of_fold_scores_never_see_their_question(fitted: World) -> None:
    """A one-neighbour router would recite a question that it had been fitted on."""
    from router.routers import KnnRouter

    recite = partial(KnnRouter.fit, neighbours=1, shrinkage=0.0)
    rng = np.random.default_rng(0)
    noise = Table.from_rows(
        [
            replace(row, correct={"a": float(rng.random() < 0.5)})
            for row in [replace(row, predictions={}) for row in fitted[0].rows]
        ]
    )
    held_out = out_of_fold(recite, noise, fitted[1], folds(noise, 5)).probabilities
    assert float(((held_out > 0.5) == (noise.correct > 0.5)).mean()) < 0.62
    assert float(((recite(noise, fitted[1]).score(fitted[1]).values > 0.5) == (noise.correct > 0.5)).mean()) == 1
