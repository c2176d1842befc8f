"""8-bit floats, multiplied with their scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from small_llamas import HIDDEN, random_tensors, write_model

from merging.checkpoint import Checkpoint
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
