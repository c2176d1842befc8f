"""Checkpoints and adapters of a few numbers, written by the format's own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
