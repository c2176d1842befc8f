"""Memory is estimated before a training starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.memory import needed
from distill.specification import TrainingSpec


def spec(tiny: Path, **changes: Any) -> TrainingSpec:
    settings = {"student": str(tiny), "rank": 4, "dropout": 0.1, "tokens": 8_000, "step_tokens": 800}
    settings |= {"batch_tokens": 900, "checkpoint_every": 2, "precision": "fp32", "encoder_width": 16}
    return TrainingSpec.model_validate(settings | changes)


def test_dropout_is_told_to_take_more_memory(tiny: Path) -> None:
    assert needed(spec(tiny, dropout=0.1)) > needed(spec(tiny, dropout=0.0))
