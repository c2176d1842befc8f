"""A training's checkpoints: its own and whole, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill import checkpoint
from distill.errors import TrainingError
from distill.specification import TrainingSpec
from distill.train import train


def spec(tiny: Path, **changes: Any) -> TrainingSpec:
    settings = {"student": str(tiny), "rank": 4, "dropout": 0.1, "tokens": 8_000, "step_tokens": 800}
    settings |= {"batch_tokens": 900, "checkpoint_every": 2, "precision": "fp32", "encoder_width": 16}
    return TrainingSpec.model_validate(settings | changes)


def test_another_trainings_folder_and_a_damaged_checkpoint_are_refused(
    tiny: Path, lessons: Path, tmp_path: Path
) -> None:
    train(spec(tiny, tokens=1_600), lessons, tmp_path)
    with pytest.raises(TrainingError, match="other settings or lessons"):
        train(spec(tiny, tokens=1_600, seed=5), lessons, tmp_path)
    tensors = checkpoint.found(tmp_path / "checkpoints")[-1] / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged"):
        train(spec(tiny, tokens=1_600), lessons, tmp_path)
