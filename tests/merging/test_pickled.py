"""Pickles are read only where that is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import decoder, linear, write

from merging.checkpoint import CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse


def test_pickles_are_read_only_where_that_is_allowed(tmp_path: Path) -> None:
    import torch

    tensors = decoder(1)
    folder = write(tmp_path / "a", tensors, num_hidden_layers=1)
    (folder / "model.safetensors").unlink()
    torch.save(
        {name: torch.from_numpy(array).to(torch.bfloat16) for name, array in tensors.items()},
        folder / "pytorch_model.bin",
    )
    with pytest.raises(CheckpointError, match="--allow-bin"):
        Merge(parse(linear(folder)))
    found = Merge(parse(linear(folder)), allow_bin=True)
    np.testing.assert_allclose(found.array("model.norm.weight"), tensors["model.norm.weight"], rtol=2**-8)
    torch.save({"a": Path("x")}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="not read by torch's weights-only loader"):
        Merge(parse(linear(folder)), allow_bin=True)
