"""A dense checkpoint in the forms that quantised ones have: real numbers, rounded, packed as each form wants it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

GROUP = 128
Array = np.ndarray[Any, Any]
Parts = dict[str, Any]
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def packed32(values: Array, bits: int) -> Array:
    """Along the last axis, lowest bits first."""
    per = 32 // bits
    parts = values.reshape(*values.shape[:-1], -1, per).astype("u8") << (bits * np.arange(per, dtype="u8"))
    return parts.sum(-1).astype("u4").view("i4")


def grouped(weight: Array, levels: int) -> tuple[Array, Array]:
    """Symmetric: integers (rows, columns) from -levels to levels, scales (rows, groups)."""
    groups = weight.reshape(len(weight), -1, GROUP)
    scales = np.abs(groups).max(-1) / levels
    integers = np.clip(np.rint(groups / scales[..., None]), -levels, levels).astype(int)
    return integers.reshape(weight.shape), scales


def awq(module: str, weight: Array) -> Parts:
    integers, scales = grouped(weight, 7)
    numbers, zeros = (integers + 8).T, np.full((scales.shape[1], len(weight)), 8)
    shuffled = [one.reshape(len(one), -1, 8)[:, :, AWQ_ORDER].reshape(len(one), -1) for one in (numbers, zeros)]
    return {
        f"{module}.qweight": packed32(shuffled[0], 4),
        f"{module}.qzeros": packed32(shuffled[1], 4),
        f"{module}.scales": scales.T.astype("f2"),
    }


def gptq(bits: int) -> Callable[[str, Array], Parts]:
    half = 1 << (bits - 1)

    def parts(module: str, weight: Array) -> Parts:
        integers, scales = grouped(weight, half - 1)
        return {
            f"{module}.qweight": packed32(integers + half, bits).T,
            f"{module}.qzeros": packed32(np.full((scales.shape[1], len(weight)), half - 1), bits),
            f"{module}.scales": scales.T.astype("f2"),
            f"{module}.g_idx": (np.arange(weight.shape[1]) // GROUP).astype("i4"),
        }

    return parts


def packed_integers(module: str, weight: Array) -> Parts:
    integers, scales = grouped(weight, 7)
    return {
        f"{module}.weight_packed": packed32(integers + 8, 4),
        f"{module}.weight_scale": scales.astype("f4"),
        f"{module}.weight_shape": np.array(weight.shape, "i8"),
    }


def integers_by_row(module: str, weight: Array) -> Parts:
    scales = np.abs(weight).max(1, keepdims=True) / 127
    return {f"{module}.weight": np.rint(weight / scales).astype("i1"), f"{module}.weight_scale": scales.astype("f4")}


def floats(rows: bool) -> Callable[[str, Array], Parts]:
    def parts(module: str, weight: Array) -> Parts:
        import torch

        scale = np.abs(weight).max(1, keepdims=True) / 448 if rows else np.array(np.abs(weight).max() / 448)
        stored = torch.from_numpy(weight / scale).to(torch.float8_e4m3fn)
        return {f"{module}.weight": stored, f"{module}.weight_scale": scale.astype("f4")}

    return parts


def float_blocks(module: str, weight: Array) -> Parts:
    import torch

    tiles = weight.reshape(weight.shape[0] // GROUP or 1, -1, weight.shape[1] // GROUP, GROUP)
    scale = np.abs(tiles).max((1, 3)) / 448
    stored = torch.from_numpy((tiles / scale[:, None, :, None]).reshape(weight.shape)).to(torch.float8_e4m3fn)
    return {f"{module}.weight": stored, f"{module}.weight_scale_inv": scale.astype("f4")}


def bnb8(module: str, weight: Array) -> Parts:
    scales = np.abs(weight).max(1, keepdims=True)
    return {
        f"{module}.weight": np.rint(weight / scales * 127).astype("i1"),
        f"{module}.SCB": scales.reshape(-1).astype("f4"),
        f"{module}.weight_format": np.zeros((), "u1"),
    }


def bnb4(module: str, weight: Array) -> Parts:
    table = np.linspace(-1, 1, 16).astype("f4")
    blocks = weight.reshape(-1, 64)
    scales = np.abs(blocks).max(1)
    places = np.abs((blocks / scales[:, None])[..., None] - table).argmin(-1).reshape(-1, 2)
    told = {"shape": list(weight.shape), "blocksize": 64, "quant_type": "nf4", "dtype": "bfloat16"}
    return {
        f"{module}.weight": (places[:, :1] << 4 | places[:, 1:]).astype("u1"),
        f"{module}.weight.quant_map": table,
        f"{module}.weight.absmax": scales.astype("f4"),
        f"{module}.weight.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(told).encode(), "u1"),
    }


def compressed(kind: str, bits: int, strategy: str, form: str, activations: bool) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, "symmetric": True, "strategy": strategy, "dynamic": False}
    if strategy == "group":
        weights["group_size"] = GROUP
    inputs = {"num_bits": 8, "type": kind, "symmetric": True, "strategy": "token", "dynamic": True}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs if activations else None}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "quantization_status": "compressed",
    }


FORMS: Mapping[str, tuple[Callable[[str, Array], Parts], dict[str, Any]]] = {
    "awq": (
        awq,
        {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"},
    ),
    "gptq": (gptq(4), {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True}),
    "gptq-8": (gptq(8), {"quant_method": "gptq", "bits": 8, "group_size": GROUP, "desc_act": False, "sym": True}),
    "compressed-w4a16": (packed_integers, compressed("int", 4, "group", "pack-quantized", False)),
    "compressed-w8a8": (integers_by_row, compressed("int", 8, "channel", "int-quantized", True)),
    "compressed-fp8": (floats(True), compressed("float", 8, "channel", "float-quantized", True)),
    "fp8": (floats(False), {"quant_method": "fp8", "activation_scheme": "dynamic"}),
    "fp8-blocks": (
        float_blocks,
        {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [GROUP, GROUP]},
    ),
    "bnb-8": (bnb8, {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}),
    "bnb-4": (
        bnb4,
        {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": "bfloat16",
        },
    ),
}


def quantised(dense: Path, out: Path, form: str) -> Path:
    """A copy of a tiny Llama whose projections are packed."""
    import torch
    from safetensors.torch import load_file, save_file

    pack, settings = FORMS[form]
    tensors: dict[str, Any] = {}
    for name, tensor in load_file(dense / "model.safetensors").items():
        if name.endswith("proj.weight"):
            module = name.removesuffix(".weight")
            tensors |= pack(module, tensor.float().numpy())
        else:
            tensors[name] = tensor
    shutil.copytree(dense, out, ignore=shutil.ignore_patterns("*.safetensors"))
    plain = {
        name: value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
        for name, value in tensors.items()
    }
    save_file({name: value.contiguous() for name, value in plain.items()}, out / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return out


def plain_copy(folder: Path, out: Path) -> Path:
    """The numbers that a quantised folder stands for, as an ordinary bfloat16 checkpoint."""
    import torch
    from safetensors.torch import save_file

    from merging.checkpoint import Checkpoint
    from merging.decoded import decoded

    found = decoded(Checkpoint(folder))
    tensors = {}
    for name, info in found.tensors.items():
        array = found.array(name)
        tensor = torch.from_numpy(array.view("i2")).view(torch.bfloat16) if info.dtype == "BF16" else None
        tensors[name] = (torch.from_numpy(array) if tensor is None else tensor).to(torch.bfloat16).contiguous()
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.safetensors"))
    save_file(tensors, out / "model.safetensors")
    config = json.loads((out / "config.json").read_text())
    config.pop("quantization_config", None)
    (out / "config.json").write_text(json.dumps(config))
    return out
