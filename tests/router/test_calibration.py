"""Calibration recovers known curves; the error measure is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from router.calibration import Isotonic, Platt, calibrate, expected_calibration_error


def cells(n: int, curve: object, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-2, 2, (n, 2)).astype(np.float32)
    outcomes = (rng.random((n, 2)) < curve(scores)).astype(np.float32)  # type: ignore[operator]
    outcomes[::7] = np.nan
    return scores, outcomes


def test_platt_recovers_slope_and_intercept() -> None:
    platt = Platt.fit(*cells(20_000, lambda x: 1 / (1 + np.exp(-(1.5 * x - 0.5)))))
    assert platt.slope == pytest.approx(1.5, abs=0.08)
    assert platt.intercept == pytest.approx(-0.5, abs=0.06)


def test_isotonic_follows_a_curve_that_platt_cannot() -> None:
    def step(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, 0.3, 0.6)

    isotonic = Isotonic.fit(*cells(20_000, step))
    probe = np.array([-1.5, -0.5, 0.5, 1.5, 99.0, -99.0], np.float32)
    np.testing.assert_allclose(isotonic(probe)[:4], [0.3, 0.3, 0.6, 0.6], atol=0.03)
    assert (np.diff(isotonic(np.sort(probe))) >= 0).all()


def test_fractional_outcomes_count_as_shares() -> None:
    scores = np.array([[0.0], [1.0]] * 50, np.float32)
    outcomes = np.array([[0.2], [0.8]] * 50, np.float32)
    np.testing.assert_allclose(Platt.fit(scores, outcomes)(scores[:2])[:, 0], [0.2, 0.8], atol=0.01)


def test_calibration_error_by_hand() -> None:
    p = np.array([[0.95, 0.95, 0.15, 0.15]], np.float32)
    y = np.array([[1.0, 0.0, 0.0, 0.0]], np.float32)
    assert expected_calibration_error(p, y) == pytest.approx((0.9 + 0.3) / 4, abs=1e-6)
    assert expected_calibration_error(np.array([[1.0, 0.0]], np.float32), np.array([[1.0, np.nan]], np.float32)) == 0


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ValueError, match="one kind only"):
        calibrate(np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match="at least one known outcome"):
        calibrate(np.zeros((1, 1), np.float32), np.full((1, 1), np.nan, np.float32), "isotonic")
    with pytest.raises(ValueError, match="one shape"):
        expected_calibration_error(np.zeros((1, 2), np.float32), np.zeros((2, 1), np.float32))
