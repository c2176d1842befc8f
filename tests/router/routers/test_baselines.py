"""Routers that do not look at the question."""

from __future__ import annotations

import numpy as np

from router import Features, Table
from router.routers import (
    RandomRouter,
)

World = tuple[Table, Features]


def test_random_depends_on_seed_and_question_alone(fitted: World, unseen: World) -> None:
    first, again, other = (RandomRouter.fit(*fitted, seed=seed).score(unseen[1]).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert abs(np.bincount(first.argmax(1), minlength=4) - 100).max() < 40
