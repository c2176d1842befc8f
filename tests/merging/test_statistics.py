"""Gathered statistics: about the merge's weights, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_decoders import decoder, write

from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError


def test_statistics_that_are_about_nothing_are_refused(tmp_path: Path) -> None:
    tensors = decoder(1)
    folder = write(tmp_path / "a", tensors, num_hidden_layers=1)
    save_file({"other.weight": np.ones((4, 4), "f4")}, tmp_path / "s.safetensors")
    raw = {"merge_method": "regmean", "models": [{"model": str(folder)}]}
    raw["parameters"] = {"statistics": str(tmp_path / "s.safetensors")}  # type: ignore[assignment]
    with pytest.raises(RecipeError, match="none of its 1 tensors is about a weight"):
        Merge(parse(raw))
    save_file({"model.layers.0.attn.weight": np.eye(4, dtype="f4")}, tmp_path / "s.safetensors")
    notes = Merge(parse(raw)).notes
    assert any("no statistics, so averaged: " in note and "model.norm.weight" in note for note in notes)
