"""Tiny checkpoints with any tensors and any configuration, and recipes over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Tensors = dict[str, np.ndarray[Any, Any]]
RNG = np.random.default_rng(0)


def write(folder: Path, tensors: Tensors, **config: Any) -> Path:
    folder.mkdir()
    floats = {name: array.astype("f4") if array.dtype == np.float64 else array for name, array in tensors.items()}
    save_file({name: np.ascontiguousarray(array) for name, array in floats.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architectures": ["XForCausalLM"], **config}))
    return folder


def decoder(count: int, prefix: str = "model.", width: int = 4) -> Tensors:
    """An embedding of 6 tokens, `count` layers of two tensors, a last norm."""
    tensors = {
        f"{prefix}embed_tokens.weight": RNG.normal(size=(6, width)),
        f"{prefix}norm.weight": RNG.normal(size=width),
    }
    for layer in range(count):
        tensors[f"{prefix}layers.{layer}.attn.weight"] = RNG.normal(size=(width, width))
        tensors[f"{prefix}layers.{layer}.norm.weight"] = RNG.normal(size=width)
    return tensors


def linear(*folders: Path, **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, "dtype": "float32", **more}


def stacked(*parts: tuple[Path, int, int]) -> list[dict[str, Any]]:
    return [{"sources": [{"model": str(folder), "layer_range": [first, last]}]} for folder, first, last in parts]
