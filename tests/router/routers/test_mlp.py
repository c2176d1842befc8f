"""A small network over the embedding: what it adds to each expert's mean."""

from __future__ import annotations

import numpy as np

from router import Features, Table
from router.routers import MlpRouter

World = tuple[Table, Features]


def test_its_score_is_the_mean_and_what_the_question_adds(fitted: World, unseen: World) -> None:
    router = MlpRouter.fit(*fitted, units=8)
    scores = router.score(unseen[1])
    np.testing.assert_allclose(scores.values, scores.terms["mean"] + scores.terms["question"], atol=1e-6)
    assert router.hidden.shape == (16, 8)
    assert float(np.abs(scores.terms["question"]).max()) > 0.2


def test_a_heavy_penalty_leaves_the_mean(fitted: World, unseen: World) -> None:
    scores = MlpRouter.fit(*fitted, penalty=1e7).score(unseen[1])
    np.testing.assert_allclose(scores.values, np.broadcast_to(scores.terms["mean"], scores.values.shape), atol=0.02)


def test_an_expert_without_scores_keeps_its_prior(fitted: World, unseen: World) -> None:
    table = fitted[0].add_experts(["newcomer"])
    assert not MlpRouter.fit(table, fitted[1]).score(unseen[1]).terms["question"][:, -1].any()
