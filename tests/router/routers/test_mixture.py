"""Several routers as one, weighted by held-out ranking."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Table
from router.routers import (
    BestRouter,
    KnnRouter,
    MixtureRouter,
    RandomRouter,
)
from router.routers.mixture import _chosen

World = tuple[Table, Features]


def test_mixture_trusts_the_member_that_ranks_better(fitted: World, unseen: World) -> None:
    router = MixtureRouter.fit(
        *fitted, members={"random": RandomRouter.fit, "knn": KnnRouter.fit, "mean": BestRouter.fit}
    )
    weight = dict(zip(router.names, router.weights, strict=True))
    assert weight["knn"] > 2 * weight["mean"]
    kinds = {item.kind for item in router.rank(unseen[1].take([0]))[0].evidence}
    assert kinds == {"neighbour"}
    terms = router.rank(unseen[1].take([0]))[0].entries[0].terms
    assert set(terms) == {name for name, value in weight.items() if value > 0}


def test_mixture_needs_members_and_two_questions(fitted: World) -> None:
    with pytest.raises(ValueError, match="at least one member"):
        MixtureRouter.fit(*fitted, members={})
    with pytest.raises(ValueError, match="two different questions"):
        MixtureRouter.fit(fitted[0].take([0]), fitted[1].take([0]), members={"best": BestRouter.fit})


def test_one_member_alone_takes_the_stacks_place_only_where_its_first_expert_is_surely_better() -> None:
    rng = np.random.default_rng(0)
    best = rng.integers(0, 4, 200)
    correct = np.eye(4, dtype=np.float32)[best]
    good = (correct + rng.normal(0, 0.05, correct.shape)).astype(np.float32)
    misled = np.roll(5 * correct, 1, axis=1)
    both = np.stack([good, misled])
    np.testing.assert_array_equal(_chosen(both, correct, np.array([0.5, 0.5])), [1.0, 0.0])
    weights = np.array([1.0, 0.1])
    assert _chosen(both, correct, weights) is weights  # the stack is as good
    lucky = np.where(np.arange(200)[:, None] < 2, correct, np.roll(correct, 1, axis=1))
    few = np.stack([lucky, np.roll(correct, 1, axis=1)]).astype(np.float32)
    alone = np.array([0.0, 1.0])
    assert _chosen(few, correct, alone) is alone  # two questions are chance
