"""Quantised tensors are decoded to the numbers that they stand for, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from merging.checkpoint import Checkpoint, CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse
from merging.source_model import SourceModel

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 16, 64
NAME = "layers.0.proj.weight"
Tensors = dict[str, np.ndarray[Any, Any]]


def write(folder: Path, tensors: Tensors, **quantization: Any) -> Path:
    folder.mkdir()
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, folder / "model.safetensors")
    config = {"architectures": ["X"], **({"quantization_config": quantization} if quantization else {})}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def decoded(folder: Path, name: str = NAME) -> np.ndarray[Any, Any]:
    """The weight, read whole and in uneven parts."""
    weight = SourceModel.of("m", Checkpoint(folder), None).weights[name]
    slab = weight.slab(False)
    whole, parts = (np.empty(int(np.prod(weight.shape)), "f4") for _ in range(2))
    slab.read(0, whole.size, whole)
    for start in range(0, whole.size, 101):
        slab.read(start, min(start + 101, whole.size), parts[start : start + 101])
    np.testing.assert_array_equal(parts, whole)
    return whole.reshape(weight.shape)


def packed32(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """Along the last axis, lowest bits first."""
    per = 32 // bits
    parts = values.reshape(*values.shape[:-1], -1, per).astype("u8") << (bits * np.arange(per, dtype="u8"))
    return parts.sum(-1).astype("u4").view("i4")


def state(**told: Any) -> np.ndarray[Any, Any]:
    return np.frombuffer(json.dumps({"shape": [ROWS, COLUMNS], "blocksize": 32, **told}).encode(), "u1")


@pytest.mark.parametrize("nested", [False, True])
def test_four_bits_of_bitsandbytes(tmp_path: Path, nested: bool) -> None:
    places, table = RNG.integers(0, 16, (ROWS, COLUMNS)), np.sort(RNG.normal(size=16)).astype("f4")
    pairs = places.reshape(-1, 2)
    scales = RNG.uniform(1, 2, ROWS * COLUMNS // 32).astype("f4")
    tensors = {NAME: (pairs[:, :1] << 4 | pairs[:, 1:]).astype("u1"), f"{NAME}.quant_map": table}
    if nested:
        codes, values = RNG.integers(0, 256, scales.size).astype("u1"), RNG.normal(size=256).astype("f4")
        outer = RNG.uniform(1, 2, 2).astype("f4")
        scales = values[codes] * np.repeat(outer, 16) + np.float32(0.5)
        tensors |= {f"{NAME}.absmax": codes, f"{NAME}.nested_absmax": outer, f"{NAME}.nested_quant_map": values}
        told = state(nested_blocksize=16, nested_offset=0.5)
    else:
        tensors[f"{NAME}.absmax"] = scales
        told = state()
    tensors[f"{NAME}.quant_state.bitsandbytes__nf4"] = told
    folder = write(tmp_path / "m", tensors, quant_method="bitsandbytes", load_in_4bit=True)
    np.testing.assert_allclose(decoded(folder), table[places] * np.repeat(scales, 32).reshape(ROWS, COLUMNS), rtol=1e-6)


@pytest.mark.parametrize("layout", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("bits", [4, 8])
def test_gptq_with_groups_in_any_order(tmp_path: Path, bits: int, layout: str) -> None:
    most, groups = 1 << bits, 4
    numbers = RNG.integers(0, most, (COLUMNS, ROWS))
    zeros, scales = RNG.integers(0, most - 1, (groups, ROWS)), RNG.uniform(1, 2, (groups, ROWS)).astype("f2")
    order = RNG.permutation(COLUMNS) % groups
    module = NAME.removesuffix(".weight")
    tensors = {
        f"{module}.qweight": packed32(numbers.T, bits).T,
        f"{module}.qzeros": packed32(zeros, bits),
        f"{module}.scales": scales,
        f"{module}.g_idx": order.astype("i4"),
    }
    folder = write(tmp_path / "m", tensors, quant_method="gptq", bits=bits, checkpoint_format=layout)
    offset = zeros + (layout == "gptq")
    wanted = (numbers - offset[order]) * scales.astype("f4")[order]
    np.testing.assert_allclose(decoded(folder), wanted.T, rtol=1e-6)


def test_awq(tmp_path: Path) -> None:
    numbers, zeros = RNG.integers(0, 16, (COLUMNS, ROWS)), RNG.integers(0, 16, (2, ROWS))
    scales = RNG.uniform(1, 2, (2, ROWS)).astype("f2")
    order = [0, 2, 4, 6, 1, 3, 5, 7]  # the i-th four bits hold this column
    shuffled = [values.reshape(len(values), -1, 8)[:, :, order].reshape(len(values), -1) for values in (numbers, zeros)]
    module = NAME.removesuffix(".weight")
    tensors = {f"{module}.qweight": packed32(shuffled[0], 4), f"{module}.qzeros": packed32(shuffled[1], 4)}
    folder = write(tmp_path / "m", {**tensors, f"{module}.scales": scales}, quant_method="awq", bits=4, version="gemm")
    group = np.arange(COLUMNS) // 32
    np.testing.assert_allclose(decoded(folder), ((numbers - zeros[group]) * scales.astype("f4")[group]).T, rtol=1e-6)


@pytest.mark.parametrize("zero", [False, True])
def test_packed_compressed_tensors(tmp_path: Path, zero: bool) -> None:
    numbers, scales = RNG.integers(-8, 8, (ROWS, COLUMNS)), RNG.uniform(1, 2, (ROWS, 2)).astype("f4")
    zeros = RNG.integers(-8, 8, (ROWS, 2)) if zero else np.zeros((ROWS, 2), int)
    tensors = {f"{NAME}_packed": packed32(numbers + 8, 4), f"{NAME}_scale": scales}
    tensors[f"{NAME}_shape"] = np.array([ROWS, COLUMNS], "i8")
    if zero:
        tensors[f"{NAME}_zero_point"] = packed32((zeros + 8).T, 4).T
    folder = write(tmp_path / "m", tensors, quant_method="compressed-tensors")
    group = np.arange(COLUMNS) // 32
    np.testing.assert_allclose(decoded(folder), (numbers - zeros[:, group]) * scales[:, group], rtol=1e-6)


def test_eight_bit_integers_by_row_and_activations_named(tmp_path: Path) -> None:
    numbers, scales = RNG.integers(-127, 128, (ROWS, COLUMNS)).astype("i1"), RNG.uniform(1, 2, (ROWS, 1)).astype("f4")
    module = NAME.removesuffix(".weight")
    tensors = {NAME: numbers, f"{NAME}_scale": scales, f"{module}.input_scale": np.ones(1, "f4")}
    folder = write(tmp_path / "a", tensors, quant_method="compressed-tensors")
    np.testing.assert_allclose(decoded(folder), numbers * scales, rtol=1e-6)
    (left,) = SourceModel.of("m", Checkpoint(folder), None).left_out
    assert left.names == (f"{module}.input_scale",)
    assert "activations" in left.reason
    tensors = {NAME: numbers, f"{module}.SCB": scales.reshape(-1), f"{module}.weight_format": np.zeros((), "u1")}
    folder = write(tmp_path / "b", tensors, quant_method="bitsandbytes", load_in_8bit=True)
    np.testing.assert_allclose(decoded(folder), numbers * (scales / 127), rtol=1e-6)


def test_microscaled_experts_are_what_transformers_makes_of_them(tmp_path: Path) -> None:
    import torch
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    blocks = RNG.integers(0, 256, (2, 6, 3, 16)).astype("u1")
    scales = RNG.integers(120, 134, (2, 6, 3)).astype("u1")
    folder = write(tmp_path / "m", {"e.up_blocks": blocks, "e.up_scales": scales}, quant_method="mxfp4")
    wanted = convert_moe_packed_tensors(torch.from_numpy(blocks), torch.from_numpy(scales), dtype=torch.float32)
    np.testing.assert_array_equal(decoded(folder, "e.up"), wanted.numpy())


def test_two_quantised_models_are_merged_as_numbers(tmp_path: Path) -> None:
    folders = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        scales = rng.uniform(1, 2, ROWS).astype("f4")
        tensors = {NAME: rng.integers(-127, 128, (ROWS, COLUMNS)).astype("i1"), NAME.replace("weight", "SCB"): scales}
        folders.append(write(tmp_path / str(seed), tensors, quant_method="bitsandbytes"))
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    plan = Merge(parse({"merge_method": "linear", "models": models, "dtype": "float32"}))
    np.testing.assert_allclose(plan.array(NAME), sum(decoded(folder) for folder in folders) / 2, rtol=1e-5, atol=1e-5)
    assert plan.names == (NAME,)
    assert any("quantised weights (bitsandbytes) are decoded" in note for note in plan.notes)


def test_a_quantisation_that_no_weight_has_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {NAME: np.ones((4, 4), "f4")}, quant_method="torchao")
    plan = Merge(parse({"merge_method": "passthrough", "models": [{"model": str(folder)}]}))
    assert any(r"names a quantisation (torchao), but no weight is quantised" in note for note in plan.notes)
    eight = write(tmp_path / "e", {NAME: np.ones((4, 4), "u1"), f"{NAME}_scale": np.ones(1, "f4")}, quant_method="fp8")
    header = (eight / "model.safetensors").read_bytes().replace(b'"U8"', b'"F8_E4M3"')
    size = int.from_bytes(header[:8], "little")
    (eight / "model.safetensors").write_bytes((size + 5).to_bytes(8, "little") + header[8:])
    plan = Merge(parse({"merge_method": "passthrough", "models": [{"model": str(eight)}]}))
    assert not any("no weight is quantised" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("tensors", "quantization", "message"),
    [
        ({NAME: np.zeros((4, 4), "i1")}, {}, "packed or quantised in a way"),
        ({NAME: np.zeros((4, 4), "u1")}, {"quant_method": "hqq"}, r"quantised \(hqq\) in a way"),
        (
            {f"a.{part}": np.zeros((4, 4), "i4") for part in ("qweight", "qzeros", "scales")},
            {"quant_method": "gptq", "bits": 3},
            "GPTQ with 3 bits",
        ),
        (
            {"a.weight_packed": np.zeros((4, 4), "u1"), "a.weight_scale": np.zeros((4, 1), "f4")},
            {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
            "NVFP4",
        ),
        ({"a.qweight": np.zeros((4, 4), "i4")}, {"quant_method": "gptq", "bits": 4}, r"'a\.qzeros' is missing"),
        ({f"{NAME}.quant_state.bitsandbytes__nf4": np.full(9, 255, "u1")}, {}, "no state of bitsandbytes"),
        (
            {NAME: np.zeros((4, 4), "f4")},
            {"quant_method": "compressed-tensors", "transform_config": {"config_groups": {"R1": {}}}},
            "its weights are rotated",
        ),
        ({NAME: np.zeros((4, 4), "f4")}, {"quant_method": "bitnet"}, "rounds weights and activations while"),
    ],
)
def test_what_cannot_be_decoded_is_refused_by_name(
    tmp_path: Path, tensors: Tensors, quantization: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "m", tensors, **quantization)
    with pytest.raises(CheckpointError, match=message):
        Merge(parse({"merge_method": "passthrough", "models": [{"model": str(folder)}]}))
