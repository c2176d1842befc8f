"""Clusters of questions, and the experts by their accuracy in each."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Table
from router.routers import KmeansRouter

World = tuple[Table, Features]


def test_three_clusters_find_the_three_kinds_and_their_specialists(fitted: World, unseen: World) -> None:
    router = KmeansRouter.fit(*fitted, clusters=3, nearest=1, shrinkage=0.0)
    assert router.sizes.sum() == len(fitted[0].rows)
    assert sorted(router.accuracy.argmax(1).tolist()) == [0, 1, 2]
    assert 0.8 < float(router.accuracy.max(1).min()) <= 1
    shares = [evidence[0].weight for evidence in router.evidence(unseen[1].take(range(20)))]
    assert all(0.2 < share < 0.5 for share in shares)


def test_shrinkage_pulls_a_cluster_to_the_experts_mean(fitted: World) -> None:
    bare = KmeansRouter.fit(*fitted, clusters=3, shrinkage=0.0)
    heavy = KmeansRouter.fit(*fitted, clusters=3, shrinkage=1e9)
    np.testing.assert_allclose(heavy.accuracy, np.tile(heavy.prior.mean, (3, 1)), atol=1e-4)
    assert float(np.abs(bare.accuracy - bare.prior.mean).max()) > 0.3


def test_clusters_are_cut_to_forty_questions_each(fitted: World) -> None:
    assert len(KmeansRouter.fit(*fitted, clusters=64).centres) == len(fitted[0].rows) // 40
    with pytest.raises(ValueError, match="clusters >= 1"):
        KmeansRouter.fit(*fitted, clusters=0)
