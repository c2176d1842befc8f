"""Probabilities on held-out folds, mapped to how often experts were right."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from router import Features, Table
from router.routers import (
    CalibratedRouter,
    FittedRouter,
    KnnRouter,
)

World = tuple[Table, Features]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_router_keeps_the_order_and_states_honest_probabilities(
    fitted: World, unseen: World, method: str, tmp_path: Path
) -> None:
    from router.calibration import expected_calibration_error

    sharp = partial(KnnRouter.fit, neighbours=3, shrinkage=0.0)
    router = CalibratedRouter.fit(*fitted, router=sharp, method=method)
    before, after = router.inside.score(unseen[1]), router.score(unseen[1])
    np.testing.assert_array_equal(before.order(), after.order())
    assert expected_calibration_error(after.probabilities, unseen[0].correct) < 0.08
    assert expected_calibration_error(before.probabilities, unseen[0].correct) > 0.1
    router.save(tmp_path)
    np.testing.assert_array_equal(FittedRouter.load(tmp_path).score(unseen[1]).probabilities, after.probabilities)
