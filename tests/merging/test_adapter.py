"""LoRA adapters as PEFT writes them, paired with what they change, or refused by tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError

SHAPES = {"embed.weight": (10, 4), "layer.q_proj.weight": (6, 4), "layer.norm.weight": (4,)}


def blob(tensors: Mapping[str, np.ndarray[Any, Any]], kinds: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file, written by the format's own words."""
    kinds = kinds or {}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        raw = array.tobytes()
        kind = kinds.get(name, "F32")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def arrays(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype("f4") for name, shape in SHAPES.items()}


def checkpoint(folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(blob(arrays()))
    return folder


def adapter(folder: Path, tensors: Mapping[str, np.ndarray[Any, Any]] | None = None, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    base = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**base, **config}))
    (folder / "adapter_model.safetensors").write_bytes(blob(tensors if tensors is not None else pair()))
    return folder


def pair(module: str = "layer.q_proj", rows: int = 6, columns: int = 4, rank: int = 2) -> dict[str, Any]:
    prefix = f"base_model.model.{module}"
    return {
        f"{prefix}.lora_A.weight": np.full((rank, columns), 0.5, "f4"),
        f"{prefix}.lora_B.weight": np.full((rows, rank), 0.25, "f4"),
    }


def test_an_adapter_is_paired_with_the_tensors_it_changes(tmp_path: Path) -> None:
    base = Checkpoint(checkpoint(tmp_path / "m"))
    found = Adapter(adapter(tmp_path / "a"), base)
    down, up, scale = found.arrays("layer.q_proj.weight")
    assert (down.shape, up.shape, scale) == ((2, 4), (6, 2), 3.0)
    assert Adapter(adapter(tmp_path / "rs", use_rslora=True), base).pairs["layer.q_proj.weight"].scale == 6 / 2**0.5


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
