"""A result that its type cannot hold is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_decoders import decoder, linear, write

from merging.checkpoint import CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse


@pytest.mark.parametrize(("dtype", "weight"), [("float16", 1.0), ("bfloat16", 1e10), ("float32", 1e10)])
def test_numbers_too_large_for_the_type_are_refused(tmp_path: Path, dtype: str, weight: float) -> None:
    tensors = {name: np.full_like(array, 1e30) for name, array in decoder(1).items()}
    raw: dict[str, Any] = linear(write(tmp_path / "a", tensors, num_hidden_layers=1), dtype=dtype)
    raw["models"][0]["parameters"]["weight"] = weight
    raw["parameters"] = {"normalize": False}
    with pytest.raises(CheckpointError, match="does not fit into"):
        dict(Merge(parse(raw)))
    assert len(dict(Merge(parse(raw), allow_nan=True))) == len(tensors)


def test_the_largest_float16_is_no_overflow(tmp_path: Path) -> None:
    tensors = {name: np.full_like(array, 65504.0) for name, array in decoder(1).items()}
    plan = Merge(parse(linear(write(tmp_path / "a", tensors, num_hidden_layers=1), dtype="float16")))
    assert plan.array("model.norm.weight").tolist() == [65504.0] * 4
