"""L-BFGS over several arrays in single precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from router.routers.descent import Array, chance, minimised, softplus


def test_the_least_of_a_bowl_is_found() -> None:
    wanted = [np.array([[1.0, -2.0], [0.5, 3.0]], np.float32), np.array([4.0], np.float32)]

    def loss(parts: Sequence[Array]) -> tuple[float, Sequence[Array]]:
        gaps = [part - goal for part, goal in zip(parts, wanted, strict=True)]
        return float(sum((gap**2).sum() for gap in gaps)), [2 * gap for gap in gaps]

    matrix, number = minimised(loss, [np.zeros((2, 2)), np.zeros(1)])
    assert matrix == pytest.approx(wanted[0], abs=1e-3)
    assert number == pytest.approx(wanted[1], abs=1e-3)
    assert matrix.dtype == np.float32


def test_logarithm_and_chance_do_not_overflow() -> None:
    x = np.array([-1000, -1, 0, 1, 1000], np.float32)
    assert softplus(x) == pytest.approx([0, 0.313262, 0.693147, 1.313262, 1000], abs=1e-5)
    assert chance(x) == pytest.approx([0, 0.268941, 0.5, 0.731059, 1], abs=1e-5)
