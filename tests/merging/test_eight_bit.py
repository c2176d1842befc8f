"""8-bit floats, multiplied with their scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_llamas import HIDDEN, random_tensors, write_model

from merging.checkpoint import Checkpoint
from merging.eight_bit import eight_bit_values
from merging.merge import merge
from merging.recipe_file import parse

Q = "model.layers.1.self_attn.q_proj.weight"


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def test_eight_bit_weights_are_multiplied_with_their_scales(tmp_path: Path) -> None:
    tensors: dict[str, Any] = random_tensors(0)
    codes = np.random.default_rng(0).integers(0, 127, (HIDDEN, HIDDEN)).astype("u1")
    scales = np.random.default_rng(1).uniform(0.5, 2, (HIDDEN // 16, HIDDEN // 16)).astype("f4")
    write_model(tmp_path / "fp8", {**tensors, Q: codes, f"{Q}_scale_inv": scales}, quantization_config={"x": 1})
    merge(parse({**linear([tmp_path / "fp8"]), "dtype": "float32"}), tmp_path / "out")
    found = Checkpoint(tmp_path / "out")
    exponent, mantissa = codes >> 3, codes & 7
    plain = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent.astype(int) - 7))
    np.testing.assert_allclose(found.array(Q), plain * np.kron(scales, np.ones((16, 16))), rtol=1e-6)
    assert f"{Q}_scale_inv" not in found.tensors
    assert "quantization_config" not in found.config


def test_tiles_are_as_wide_as_the_configuration_says(tmp_path: Path) -> None:
    edge = HIDDEN // 2 + 4
    codes = np.random.default_rng(0).integers(0, 127, (HIDDEN, HIDDEN)).astype("u1")
    scales = np.random.default_rng(1).uniform(0.5, 2, (2, 2)).astype("f4")
    settings = {"quant_method": "fp8", "weight_block_size": [edge, edge]}
    tensors = {**random_tensors(0), Q: codes, f"{Q}_scale_inv": scales}
    write_model(tmp_path / "fp8", tensors, quantization_config=settings)
    merge(parse({**linear([tmp_path / "fp8"]), "dtype": "float32"}), tmp_path / "out")
    by_tile = np.kron(scales, np.ones((edge, edge)))[:HIDDEN, :HIDDEN]
    found = Checkpoint(tmp_path / "out").array(Q)
    np.testing.assert_allclose(found, eight_bit_values("F8_E4M3")[codes] * by_tile, rtol=1e-6)
    write_model(tmp_path / "few", tensors, quantization_config={**settings, "weight_block_size": [8, 8]})
    with pytest.raises(ValueError, match="2 scales do not divide"):
        merge(parse(linear([tmp_path / "few"])), tmp_path / "none")


@pytest.mark.parametrize(
    ("beside", "method", "words"),
    [
        ({f"{Q[:-7]}.scale": np.ones(1, "f4")}, {}, r"8-bit floats beside '.*q_proj\.scale'"),
        ({f"{Q}_scale": np.ones(1, "f4"), f"{Q}_scale_2": np.ones(1, "f4")}, {}, "weight_scale_2'"),
        ({f"{Q}_scale": np.ones(1, "f4"), f"{Q[:-7]}.pre_quant_scale": np.ones(4, "f4")}, {}, "pre_quant_scale'"),
        ({}, {"quantization_config": {"quant_method": "fp8"}}, "quant_method is 'fp8', but it has no scale"),
    ],
)
def test_scales_in_other_forms_are_refused(
    tmp_path: Path, beside: dict[str, Any], method: dict[str, Any], words: str
) -> None:
    tensors: dict[str, Any] = {**random_tensors(0), Q: np.full((HIDDEN, HIDDEN), 60, "u1"), **beside}
    write_model(tmp_path / "fp8", tensors, **method)
    with pytest.raises(ValueError, match=words):
        merge(parse(linear([tmp_path / "fp8"])), tmp_path / "out")


def test_a_models_fp8_of_nvidias_optimiser_is_decoded(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 127, (HIDDEN, HIDDEN)).astype("u1")
    scales = {f"{Q}_scale": np.array(0.25, "f4"), f"{Q[:-7]}.input_scale": np.array(3.0, "f4")}
    settings = {"quant_method": "modelopt", "quant_algo": "FP8"}
    write_model(tmp_path / "fp8", {**random_tensors(0), Q: codes, **scales}, quantization_config=settings)
    merge(parse({**linear([tmp_path / "fp8"]), "dtype": "float32"}), tmp_path / "out")
    found = Checkpoint(tmp_path / "out")
    np.testing.assert_allclose(found.array(Q), eight_bit_values("F8_E4M3")[codes] * 0.25, rtol=1e-6)
    assert not [name for name in found.tensors if "scale" in name]
