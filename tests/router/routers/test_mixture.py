"""Several routers as one, weighted by held-out ranking."""

from __future__ import annotations

import pytest

from router import Features, Table
from router.routers import (
    BestRouter,
    KnnRouter,
    MixtureRouter,
    RandomRouter,
)

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
