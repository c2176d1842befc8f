"""From scores to probabilities of being right: Platt scaling, isotonic regression, and how far off they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
CalibrationMethod = Literal["platt", "isotonic"]


@dataclass(frozen=True)
class Calibration(ABC):
    """A monotone map from scores to probabilities."""

    @abstractmethod
    def __call__(self, scores: Array) -> Array:
        """Probabilities 0..1, same shape."""


@dataclass(frozen=True)
class Platt(Calibration):
    """probability = sigma(slope * score + intercept); two numbers, so a few hundred cells suffice."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, scores: Array, outcomes: Array) -> Self:
        """By scikit-learn's logistic regression. `outcomes`: 0..1, NaN for unknown, same shape as `scores`.

        Targets are pulled inwards as Platt's are (1999, section 2.2), by Jeffreys' half of an observation: a right one
        counts as (rights + 1/2) / (rights + 1), so that few outcomes, parted by the scores, never yield a certainty.

        Raises ValueError if all known outcomes are right, or all wrong: nothing can be learned from them.
        """
        from sklearn.linear_model import LogisticRegression

        x, y = _cells(scores, outcomes)
        if y.min() == 1 or y.max() == 0:
            raise ValueError("calibration needs right and wrong outcomes, and has one kind only")
        right, wrong = float(y.sum()), float((1 - y).sum())
        y = y * (right + 0.5) / (right + 1) + (1 - y) * 0.5 / (wrong + 1)
        inputs = np.concatenate([x, x])[:, None]
        sides = np.repeat([1, 0], len(x))
        weights = np.concatenate([y, 1 - y])
        kept = weights > 0
        model = LogisticRegression(C=1e6, max_iter=1000).fit(inputs[kept], sides[kept], weights[kept])
        return cls(float(model.coef_[0, 0]), float(model.intercept_[0]))

    def __call__(self, scores: Array) -> Array:
        """Probabilities, float32, of scores of the same shape."""
        logits = np.clip(self.slope * scores + self.intercept, -60, 60)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


@dataclass(frozen=True)
class Isotonic(Calibration):
    """Any rising curve, as points between which it is linear; wants some thousand cells."""

    points: Array
    """[points], ascending scores"""
    values: Array
    """[points], probabilities"""

    @classmethod
    def fit(cls, scores: Array, outcomes: Array) -> Self:
        """By scikit-learn's isotonic regression. Arguments as for Platt."""
        from sklearn.isotonic import IsotonicRegression

        x, y = _cells(scores, outcomes)
        model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(x, y)
        return cls(model.X_thresholds_.astype(np.float32), model.y_thresholds_.astype(np.float32))

    def __call__(self, scores: Array) -> Array:
        """Probabilities, float32, of scores of the same shape."""
        return np.asarray(np.interp(scores, self.points, self.values), np.float32)


def calibrate(scores: Array, outcomes: Array, method: CalibrationMethod = "platt") -> Calibration:
    """Fit by the method's name. `scores` and `outcomes`: (questions, experts); unknown outcomes are NaN."""
    return Platt.fit(scores, outcomes) if method == "platt" else Isotonic.fit(scores, outcomes)


def expected_calibration_error(probabilities: Array, outcomes: Array, bins: int = 10) -> float:
    """Mean distance between stated probability and observed score over equally wide bins, by cells in the bin.

    Guo and others 2017 (arXiv 1706.04599), equation 3. Cells with an unknown outcome (NaN) are left out.
    """
    p, y = _cells(probabilities, outcomes)
    place = np.minimum((p * bins).astype(np.intp), bins - 1)
    gap = np.bincount(place, p - y, bins)
    return float(np.abs(gap).sum() / len(p))


def _cells(scores: Array, outcomes: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if scores.shape != outcomes.shape:
        raise ValueError(f"scores {scores.shape} and outcomes {outcomes.shape} must have one shape")
    known = ~np.isnan(outcomes)
    if not known.any():
        raise ValueError("calibration needs at least one known outcome")
    return scores[known].astype(np.float64), outcomes[known].astype(np.float64)
