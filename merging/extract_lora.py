"""What a fine-tune changed in its base, as a LoRA adapter that PEFT loads.

Each linear layer's difference is cut off after its largest singular values; what has no such form is saved whole where
it changed: biases of these layers (`bias: lora_only`), embeddings, the output layer and norms (`modules_to_save`). The
notes state the error that the cut leaves.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import CheckpointError, ties
from merging.config_agreement import check_heads
from merging.merge import MergeSummary
from merging.naming import CAUSAL, HEAD, WRITES, LayerName, stored_like
from merging.recipe import ModelRef
from merging.source_model import SourceModel, Weight
from merging.sources import open_model
from merging.writer import WEIGHTS_FILE, Writer

Array = NDArray[np.float32]
CONV1D = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
"""Model types whose linear layers are stored (in, out): PEFT's product is transposed there."""


def extract_lora(model: str, base: str, out: Path, *, rank: int = 32, allow_bin: bool = False) -> MergeSummary:
    """Write the adapter over `base` that comes nearest to `model` at `rank` to the folder `out`.

    Raises `CheckpointError` where the two are not of one shape, and `WriteError`.
    """
    began = time.perf_counter()
    fine, own = (_opened(name, allow_bin) for name in (model, base))
    check_heads(own, fine)
    lacking = [name for name in own.weights if name not in fine.weights]
    over = [name for name in fine.weights if name not in own.weights]
    if lacking or over:
        raise CheckpointError(f"{model}: tensor {(lacking or over)[0]!r} is in one of it and {base} only")
    pairs: dict[str, tuple[Array, Array]] = {}
    whole: dict[str, Array] = {}
    unlike: list[tuple[float, float]] = []
    for name, weight in own.weights.items():
        if weight.bits is not None:
            continue
        before, after = _numbers(weight), _numbers(fine.weights[name])
        longer = LayerName.of(name) is None and before.shape[1:] == after.shape[1:]  # another vocabulary
        if before.shape != after.shape and not longer:
            raise CheckpointError(f"{model}: tensor {name!r} is {list(after.shape)}, in {base} {list(before.shape)}")
        if before.shape == after.shape and np.array_equal(before, after):
            continue
        if _linear(name, weight) and before.shape == after.shape:
            left, right, change, error = _low_rank(after - before, rank)
            pairs[own.names[name]] = left, right
            unlike.append((change, error))
        else:
            whole[own.names[name]] = after
    _complete(whole, pairs, own, fine)
    if not pairs and not whole:
        raise CheckpointError(f"{model}: has the same weights as {base}: there is nothing to extract")
    notes = [f"{len(pairs)} layers at rank {rank}, {len(whole)} tensors saved whole"]
    if unlike:
        left_over = np.sqrt(sum(error for _, error in unlike) / sum(change for change, _ in unlike))
        notes.append(f"of the change of the linear layers {left_over:.1%} is cut off (relative Frobenius norm)")
    written = _write(out, own, pairs, whole, rank)
    size = sum(array.size for both in pairs.values() for array in both) + sum(array.size for array in whole.values())
    read = sum(source.checkpoint.bytes for source in (fine, own) if source.checkpoint)
    count = 2 * len(pairs) + len(whole)
    return MergeSummary(out, count, size, read, written, time.perf_counter() - began, tuple(notes))


def _complete(whole: dict[str, Array], pairs: Mapping[str, Any], own: SourceModel, fine: SourceModel) -> None:
    """A module that is saved whole is saved with all of its tensors: PEFT asks for each of them."""
    modules = {_module(name) for name in whole} - {_module(name) for name in pairs}
    for name, weight in own.weights.items():
        if _module(own.names[name]) in modules and weight.bits is None:
            whole.setdefault(own.names[name], _numbers(fine.weights[name]))
    embedding = own.names.get(own.embedding or "")
    if embedding and embedding in whole and embedding.endswith("shared.weight"):
        raise CheckpointError(
            f"{fine.label}: its embedding {embedding!r} changed, which encoder and decoder share: PEFT replaces one "
            "of them only; merge the whole models instead"
        )
    if embedding in whole and _tied(own):
        # PEFT replaces one of two modules that share a tensor: the output layer is to follow.
        head = "proj_out.weight" if own.architecture.startswith("Whisper") else stored_like(HEAD, own.names)
        whole[head] = whole[embedding]


def _tied(own: SourceModel) -> bool:
    """It writes text, and its output layer is the embedding."""
    return own.architecture.endswith(WRITES) and not own.own_head and ties(own.config) is not False


def _module(name: str) -> str:
    return re.sub(r"\.(weight|bias)$", "", name)


def _opened(name: str, allow_bin: bool) -> SourceModel:
    return SourceModel.of(name, *open_model(ModelRef(name), allow_bin))


def _linear(name: str, weight: Weight) -> bool:
    layer = LayerName.of(name)
    normal = layer is not None and layer.tail.endswith(".weight") and "norm" not in layer.tail
    return normal and len(weight.shape) == 2


def _numbers(weight: Weight) -> Array:
    out = np.empty(int(np.prod(weight.shape)), np.float32)
    weight.slab(False).read(0, out.size, out)
    return out.reshape(weight.shape)


def _low_rank(change: Array, rank: int) -> tuple[Array, Array, float, float]:
    """(B, A, squared length of the change, of what is cut off)"""
    from scipy.linalg import svd

    u, s, v = svd(change, full_matrices=False, check_finite=False)
    kept = min(rank, len(s))
    root = np.sqrt(s[:kept])
    left, right = np.zeros((change.shape[0], rank), np.float32), np.zeros((rank, change.shape[1]), np.float32)
    left[:, :kept], right[:kept] = u[:, :kept] * root, root[:, None] * v[:kept]
    return left, right, float((s**2).sum()), float((s[kept:] ** 2).sum())


def _write(
    out: Path, own: SourceModel, pairs: dict[str, tuple[Array, Array]], whole: dict[str, Array], rank: int
) -> int:
    arrays: dict[str, Array] = {}
    turned = own.config.get("model_type") in CONV1D
    for name, (left, right) in pairs.items():
        module = name.removesuffix(".weight")
        arrays[f"base_model.model.{module}.lora_A.weight"] = np.ascontiguousarray(left.T) if turned else right
        arrays[f"base_model.model.{module}.lora_B.weight"] = np.ascontiguousarray(right.T) if turned else left
    for name, array in whole.items():
        module = _module(name)
        place = f"{module}.base_layer.bias" if f"{module}.weight" in pairs else name
        arrays[f"base_model.model.{place}"] = array
    with Writer(out, {name: ("F32", array.shape) for name, array in arrays.items()}, 1 << 62) as writer:
        for name, array in arrays.items():
            writer.write(name, 0, array.reshape(-1))
        (writer.folder / WEIGHTS_FILE).rename(writer.folder / "adapter_model.safetensors")
        config = json.dumps(_config(own, pairs, whole, rank, turned), indent=2)
        (writer.folder / "adapter_config.json").write_text(config + "\n", "utf-8")
        written = sum(file.stat().st_size for file in writer.folder.iterdir())
        writer.finish()
    return written


def _config(own: SourceModel, pairs: dict[str, Any], whole: dict[str, Any], rank: int, turned: bool) -> dict[str, Any]:
    modules = {_module(name) for name in pairs}
    saved = {_module(name) for name in whole}
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": own.label,
        "task_type": "CAUSAL_LM" if own.architecture.endswith(CAUSAL) else None,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "lora_only" if saved & modules else "none",
        "fan_in_fan_out": turned,
        "inference_mode": True,
        "target_modules": sorted(modules),
        "modules_to_save": sorted(saved - modules) or None,
        # Both are saved: PEFT before 0.18 does not know the key.
        **({"ensure_weight_tying": True} if stored_like(HEAD, own.names) in whole and _tied(own) else {}),
    }
