"""Small Llamas for tests of merging, written without any model library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from merging.checkpoint import Checkpoint
from merging.writer import Writer

Tensors = dict[str, np.ndarray[Any, Any]]
HIDDEN, INNER, LAYERS, TOKENS = 32, 48, 3, 40


def bf16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round to bfloat16, as bits."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def numbers(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bfloat16's bits -> float64."""
    return (bits.astype("<u4") << 16).view("<f4").astype("f8")


def random_tensors(seed: int, layers: int = LAYERS, tokens: int = TOKENS, head: bool = False) -> Tensors:
    """A base (seed 0), or a fine-tune of it."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (tokens, HIDDEN)}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        shapes |= {f"{name}.self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        shapes |= {f"{name}.mlp.{part}_proj.weight": (INNER, HIDDEN) for part in ("gate", "up")}
        shapes |= {f"{name}.mlp.down_proj.weight": (HIDDEN, INNER)}
        shapes |= {f"{name}.{part}_layernorm.weight": (HIDDEN,) for part in ("input", "post_attention")}
    shapes["model.norm.weight"] = (HIDDEN,)
    if head:
        shapes["lm_head.weight"] = (tokens, HIDDEN)
    tensors = {}
    for place, (name, shape) in enumerate(shapes.items()):
        values = np.random.default_rng(place).normal(1.0 if "norm" in name else 0.0, 0.1, shape)
        if seed:
            values = values + np.random.default_rng([place, seed]).normal(0, 0.02, shape)
        tensors[name] = values
    return tensors


def write_model(folder: Path, tensors: Mapping[str, np.ndarray[Any, Any]], **config: Any) -> Path:
    """A checkpoint: float64 arrays are rounded to bfloat16, others written as they are."""
    kinds = {"u2": "BF16", "f4": "F32", "f2": "F16", "u1": "F8_E4M3", "i8": "I64"}
    bits = {name: bf16(array) if array.dtype == np.float64 else array for name, array in tensors.items()}
    listing = {name: (kinds[array.dtype.str[1:]], array.shape) for name, array in bits.items()}
    with Writer(folder, listing) as writer:
        for name, array in bits.items():
            writer.write(name, 0, array.reshape(-1))
        writer.finish()
    layers = sum(name.endswith("input_layernorm.weight") for name in tensors)
    whole = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": tensors["model.embed_tokens.weight"].shape[0],
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "torch_dtype": "bfloat16",
        **config,
    }
    (folder / "config.json").write_text(json.dumps(whole))
    return folder


def values_of(folder: Path) -> Tensors:
    """All tensors of a checkpoint in float64."""
    checkpoint = Checkpoint(folder)
    arrays = {name: checkpoint.array(name) for name in checkpoint.tensors}
    brain = {name for name, info in checkpoint.tensors.items() if info.dtype == "BF16"}
    return {name: numbers(array) if name in brain else array.astype("f8") for name, array in arrays.items()}
