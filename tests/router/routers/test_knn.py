"""Nearest neighbours: named, shrunk, and trusted as far as they are borne out."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Table
from router.routers import (
    KnnRouter,
)

World = tuple[Table, Features]


def test_knn_names_its_neighbours(fitted: World) -> None:
    table, questions = fitted
    ranking = KnnRouter.fit(table, questions).rank(questions.take([17]))[0]
    assert ranking.evidence[0].label == table.ids[17]
    assert ranking.evidence[0].weight == pytest.approx(1, abs=1e-5)
    assert [e.weight for e in ranking.evidence] == sorted((e.weight for e in ranking.evidence), reverse=True)


def test_knn_shrinks_towards_the_mean(fitted: World, unseen: World) -> None:
    loose = KnnRouter.fit(*fitted, neighbours=5, shrinkage=0.0).score(unseen[1])
    tight = KnnRouter.fit(*fitted, neighbours=5, shrinkage=1e6).score(unseen[1])
    np.testing.assert_allclose(tight.values, np.broadcast_to(tight.terms["mean"], tight.values.shape), atol=1e-4)
    np.testing.assert_allclose(loose.values, loose.terms["neighbours"], atol=1e-6)


def test_knn_trusts_neighbours_as_far_as_the_fitted_questions_bear_them_out(fitted: World) -> None:
    table, questions = fitted
    rng = np.random.default_rng(0)
    shuffled = questions.take(rng.permutation(len(questions)))
    told, random = KnnRouter.fit(table, questions), KnnRouter.fit(table, shuffled)
    assert told.shrinkage <= 1 < 10 <= random.shrinkage
    assert KnnRouter.fit(table, questions, shrinkage=7.0).shrinkage == 7


def test_equal_questions_tell_knn_nothing_of_its_settings(fitted: World) -> None:
    table, questions = fitted
    shuffled = questions.take(np.random.default_rng(0).permutation(len(questions)))
    twice = np.tile(np.arange(len(questions)), 2)
    assert KnnRouter.fit(table.take(twice), shuffled.take(twice)).shrinkage >= 10
    same = KnnRouter.fit(table.take([0, 0, 0]), questions.take([0, 0, 0]))
    assert (same.temperature, same.shrinkage) == (0.1, 10)


@pytest.mark.parametrize("bad", [{"neighbours": 0}, {"temperature": 0.0}, {"shrinkage": -1.0}])
def test_knn_refuses_senseless_settings(fitted: World, bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="kNN needs"):
        KnnRouter.fit(*fitted, **bad)
