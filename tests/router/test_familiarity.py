"""A question is unlike the profile where it is further from it than the profile's questions are from one another."""

from __future__ import annotations

import numpy as np

from router import Features
from router.familiarity import RELATED, Familiarity


def around(seed: int, count: int, direction: int = 0, spread: float = 0.1) -> np.ndarray:
    vectors = np.eye(16)[direction] + spread * np.random.default_rng(seed).standard_normal((count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_threshold_is_calibrated_on_the_fitted_questions() -> None:
    close = Familiarity.fit([f"q{n}" for n in range(50)], Features(around(0, 50)))
    assert close.threshold == RELATED
    wide = Familiarity.fit([f"q{n}" for n in range(50)], Features(around(0, 50, spread=1.0)))
    assert wide.threshold < RELATED
    assert (wide.nearest(Features(around(1, 200, spread=1.0))) < wide.threshold).mean() < 0.1
    assert (close.nearest(Features(around(2, 20, direction=5))) < close.threshold).all()


def test_equal_texts_do_not_vouch_for_one_another() -> None:
    vectors = np.eye(3, 16, dtype=np.float32)
    twice = Familiarity.fit(["a", "a", "b", "b"], Features(vectors[[0, 0, 1, 1]]))
    assert twice.threshold == 0
    assert Familiarity.fit(["a", "a"], Features(vectors[[0, 0]])).threshold == -1
