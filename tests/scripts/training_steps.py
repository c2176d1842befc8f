"""A step of a training that nobody ran."""

from __future__ import annotations

from distill.train import StepMetrics

STEP = StepMetrics(3, 3, 900, 2.0, 1e-4, 1.0, 0.5, None, None, None, None)
