"""LoRA adapters as PEFT writes them, paired with what they change, or refused by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from tests.scripts.small_safetensors import adapter, checkpoint, pair


def test_an_adapter_is_paired_with_the_tensors_it_changes(tmp_path: Path) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    found = Adapter(adapter(tmp_path / "a"), base)
    down, up, scale = found.arrays("layer.q_proj.weight")
    assert (down.shape, up.shape, scale) == ((2, 4), (6, 2), 3.0)
    assert Adapter(adapter(tmp_path / "rs", use_rslora=True), base).pairs["layer.q_proj.weight"].scale == 6 / 2**0.5


@pytest.mark.parametrize(
    ("said", "names", "other"),
    [
        ("meta-llama/Llama-3-8B", ("meta-llama/Llama-3-8B",), False),
        ("unsloth/llama-3-8b", ("meta-llama/Llama-3-8B", "/models/mine"), False),
        ("/home/a/Llama-3-8B", ("./Llama-3-8B",), False),
        ("meta-llama/Llama-3-8B", ("/hub/models--meta-llama--Llama-3-8B/snapshots/0123",), False),
        ("meta-llama/Llama-3-8B", ("meta-llama/Llama-3.1-8B",), True),
        ("meta-llama/Llama-3-8B", ("./mine",), True),
        ("", ("./mine",), False),
        (None, ("./mine",), False),
        ("./", ("./mine",), False),
    ],
)
def test_an_adapter_tells_that_it_was_trained_over_another_base(
    tmp_path: Path, said: str | None, names: tuple[str, ...], other: bool
) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    found = Adapter(adapter(tmp_path / "a", base_model_name_or_path=said), base)
    assert found.other_base(*names) == (said if other else None)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (pair(columns=5), r"lora_A.*\[2, 5\], wanted a float \[2, 4\] for 'layer\.q_proj\.weight'"),
        (pair(rows=7), r"lora_B.*\[7, 2\], wanted a float \[6, 2\]"),
        (pair(rank=3), r"has rank 3, its configuration says 2"),
        (pair("layer.k_proj"), r"has no layer\.k_proj\.weight"),
        (pair("layer.norm", rows=4, columns=4), r"LoRA of 'layer\.norm\.weight' \[4\] is not supported"),
        (dict(list(pair().items())[:1]), r"layer\.q_proj has lora_A only"),
        ({"base_model.model.embed.lora_embedding_A": np.zeros((2, 4), "f4")}, "embed has lora_embedding_A only"),
        ({}, "no tensor that changes"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_by_tensor(tmp_path: Path, tensors: Any, message: str) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    with pytest.raises(CheckpointError, match=message) as caught:
        Adapter(adapter(tmp_path / "a", tensors), base)
    assert "adapter_model.safetensors" in str(caught.value)
