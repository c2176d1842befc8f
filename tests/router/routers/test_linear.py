"""Linear routers: terms that add up."""

from __future__ import annotations

import numpy as np

from router import Features, Table
from router.routers import (
    MlpRouter,
    PromptVectorRouter,
)

World = tuple[Table, Features]


def test_linear_terms_add_up(fitted: World, unseen: World) -> None:
    for kind in (PromptVectorRouter, MlpRouter):
        scores = kind.fit(*fitted).score(unseen[1])
        np.testing.assert_allclose(scores.values, scores.terms["mean"] + scores.terms["question"], atol=1e-5)
