"""Questions and experts as vectors in one small space."""

from __future__ import annotations

import numpy as np
import pytest

from router import Features, Table
from router.routers import FactorisationRouter
from router.routers.fitted import logit

World = tuple[Table, Features]


def test_log_odds_are_bias_and_product(fitted: World, unseen: World) -> None:
    router = FactorisationRouter.fit(*fitted, rank=3)
    assert (router.projection.shape, router.vectors.shape) == ((16, 3), (4, 3))
    hidden = (unseen[1].embeddings - router.centre) @ router.projection
    wanted = hidden @ router.vectors.T + router.biases
    np.testing.assert_allclose(logit(router.score(unseen[1]).values), np.clip(wanted, -6.9, 6.9), atol=1e-2)


def test_a_heavy_penalty_leaves_the_mean_alone(fitted: World, unseen: World) -> None:
    router = FactorisationRouter.fit(*fitted, penalty=1e6)
    np.testing.assert_allclose(router.score(unseen[1]).values.mean(0), router.prior.mean, atol=0.02)
    assert float(np.abs(router.vectors).max()) < 0.05


def test_missing_scores_are_not_fitted(fitted: World, unseen: World) -> None:
    router = FactorisationRouter.fit(fitted[0].add_experts(["newcomer"]), fitted[1])
    assert not router.vectors[-1].any()
    with pytest.raises(ValueError, match="rank >= 1"):
        FactorisationRouter.fit(*fitted, rank=0)
