"""Fits that are shared under cross-validation: made once each, and never on what they score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from router import Features, Table
from router.crossfit import Fit, folds, out_of_fold
from router.nested import NestedFits, identity
from router.routers import BestRouter, KnnRouter, MixtureFit, RandomRouter
from router.trial import crossfitted

World = tuple[Table, Features]


def counted(fit: Fit, made: list[frozenset[str]]) -> Fit:
    def count(table: Table, questions: Features) -> Any:
        made.append(frozenset(table.ids))
        return fit(table, questions)

    return count


def test_a_router_alone_has_the_scores_of_plain_cross_validation(fitted: World) -> None:
    fold = folds(fitted[0], 5)
    found, seconds = NestedFits(*fitted, fold).out_of_fold(KnnRouter.fit)
    assert np.array_equal(found.probabilities, out_of_fold(KnnRouter.fit, *fitted, fold).probabilities)
    assert seconds > 0


def test_each_fit_is_made_once_and_the_members_own_are_shared(fitted: World) -> None:
    made: list[frozenset[str]] = []
    members: Mapping[str, Fit] = {"knn": counted(KnnRouter.fit, made), "mean": BestRouter.fit}
    nested = NestedFits(*fitted, folds(fitted[0], 5))
    nested.out_of_fold(members["knn"])
    assert len(made) == 5
    mixture = MixtureFit(lambda questions: members)
    scores, _ = crossfitted(mixture, nested)
    assert len(made) == len(set(made)) == 5 + 10
    assert crossfitted(mixture, nested)[0].values.tolist() == scores.values.tolist()
    assert len(made) == 15


def test_a_mixture_knows_nothing_of_the_fold_that_it_scores(fitted: World) -> None:
    """Turning a fold's outcomes round changes no score of that fold, and some of the others."""
    fold = folds(fitted[0], 5)
    turned = [
        replace(row, correct={name: 1 - score for name, score in row.correct.items()}) if fold[place] == 2 else row
        for place, row in enumerate(fitted[0].rows)
    ]
    mixture = MixtureFit(lambda questions: {"knn": KnnRouter.fit, "mean": BestRouter.fit})
    as_is, _ = mixture.crossfitted(NestedFits(*fitted, fold))
    other, _ = mixture.crossfitted(NestedFits(Table(tuple(turned), fitted[0].experts), fitted[1], fold))
    assert np.array_equal(as_is.values[fold == 2], other.values[fold == 2])
    assert not np.array_equal(as_is.values[fold == 1], other.values[fold == 1])


def test_a_mixture_in_shared_folds_is_as_good_as_one_fitted_anew_for_each(fitted: World) -> None:
    fold = folds(fitted[0], 5)
    mixture = MixtureFit(lambda questions: {"random": RandomRouter.fit, "knn": KnnRouter.fit})

    def right(values: np.ndarray[Any, Any]) -> float:
        return float(np.take_along_axis(fitted[0].correct, values.argmax(1)[:, None], 1).mean())

    shared, _ = mixture.crossfitted(NestedFits(*fitted, fold))
    anew = out_of_fold(mixture, *fitted, fold)
    assert right(shared.values) == pytest.approx(right(anew.values), abs=0.03)
    assert right(shared.values) > 0.8


def test_two_folds_leave_nothing_to_weigh_members_on(fitted: World) -> None:
    nested = NestedFits(*fitted, folds(fitted[0], 2))
    scores, _ = crossfitted(MixtureFit(lambda questions: {"mean": BestRouter.fit}), nested)
    assert scores.values.shape == (300, 4)


def test_ways_to_fit_are_one_where_function_and_settings_are() -> None:
    assert identity(partial(KnnRouter.fit, neighbours=5)) == identity(partial(KnnRouter.fit, neighbours=5))
    assert identity(partial(KnnRouter.fit, neighbours=5)) != identity(partial(KnnRouter.fit, neighbours=6))
    assert identity(KnnRouter.fit) != identity(BestRouter.fit)
