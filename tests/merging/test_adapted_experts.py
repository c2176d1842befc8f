"""Adapters of all experts of a layer, over bases that store each expert apart: PEFT's own formula, expert by expert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse

EXPERTS, HIDDEN, RANK = 3, 8, 2
MODULE = "base_model.model.model.layers.0.mlp.experts"


def base(folder: Path, inner: int, names: tuple[str, str, str], block: str) -> Path:
    rng = np.random.default_rng(0)
    shapes = dict(zip(names, ((inner, HIDDEN), (inner, HIDDEN), (HIDDEN, inner)), strict=True))
    tensors = {
        f"model.layers.0.{block}.experts.{n}.{part}.weight": rng.normal(size=shape).astype("f4")
        for n in range(EXPERTS)
        for part, shape in shapes.items()
    }
    tensors[f"model.layers.0.{block}.gate.weight"] = rng.normal(size=(EXPERTS, HIDDEN)).astype("f4")
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], "num_hidden_layers": 1}))
    return folder


def adapter(folder: Path, inner: int, **more: Any) -> tuple[Path, dict[str, np.ndarray[Any, Any]]]:
    rng = np.random.default_rng(1)
    inside = {
        f"{MODULE}.base_layer.lora_A.weight": (EXPERTS * 2 * RANK, HIDDEN),
        f"{MODULE}.base_layer.lora_B.weight": (2 * inner, EXPERTS * 2 * RANK),
        f"{MODULE}.lora_A.weight": (EXPERTS * RANK, inner),
        f"{MODULE}.lora_B.weight": (HIDDEN, EXPERTS * RANK),
        f"{MODULE.removesuffix('.experts')}.gate.lora_A.weight": (RANK, HIDDEN),
        f"{MODULE.removesuffix('.experts')}.gate.lora_B.weight": (EXPERTS, RANK),
    }
    tensors = {name: rng.normal(size=shape).astype("f4") for name, shape in inside.items()}
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 6, "target_parameters": ["gate_up_proj", "down_proj"]}
    config |= {"rank_pattern": {r".*\.gate_up_proj": 2 * RANK}, "alpha_pattern": {r".*\.gate_up_proj": 20}, **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder, {name.removeprefix(MODULE): array.astype("f8") for name, array in tensors.items()}


@pytest.mark.parametrize(
    ("names", "block"),
    [(("w1", "w3", "w2"), "block_sparse_moe"), (("gate_proj", "up_proj", "down_proj"), "mlp")],
)
def test_each_expert_gets_its_share(tmp_path: Path, names: tuple[str, str, str], block: str) -> None:
    inner = 6
    own = Checkpoint(base(tmp_path / "base", inner, names, block))
    folder, held = adapter(tmp_path / "lora", inner)
    raw = {"merge_method": "passthrough", "models": [{"model": f"{tmp_path / 'base'}+{folder}"}], "dtype": "float32"}
    plan = Merge(parse(raw))

    def change(a: Any, b: Any, scale: float) -> Any:
        a = a.reshape(EXPERTS, -1, a.shape[1])
        return scale * np.einsum("o r e, e r i -> e o i", b.reshape(len(b), -1, EXPERTS), a)

    fused = change(held[".base_layer.lora_A.weight"], held[".base_layer.lora_B.weight"], 20 / (2 * RANK))
    down = change(held[".lora_A.weight"], held[".lora_B.weight"], 6 / RANK)
    for number in range(EXPERTS):
        for part, added in zip(names, (fused[number, :inner], fused[number, inner:], down[number]), strict=True):
            name = f"model.layers.0.{block}.experts.{number}.{part}.weight"
            np.testing.assert_allclose(plan.array(name), own.array(name) + added, atol=1e-4, err_msg=name)
    router = f"model.layers.0.{block}.gate.weight"
    assert not np.allclose(plan.array(router), own.array(router))
    # Engines serve no such adapter beside their base.
    assert not Adapter(folder, own).low_rank_only


def test_shapes_that_do_not_tell_in_from_out_need_the_version(tmp_path: Path) -> None:
    own = Checkpoint(base(tmp_path / "base", HIDDEN // 2, ("w1", "w3", "w2"), "mlp"))
    with pytest.raises(CheckpointError, match="does not fit 3 experts of 4 x 8"):
        Adapter(adapter(tmp_path / "old", HIDDEN // 2, peft_version="0.18.1")[0], own)
    assert Adapter(adapter(tmp_path / "new", HIDDEN // 2, peft_version="0.21.0")[0], own).pairs


def test_a_base_without_experts_of_their_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    save_file({"model.layers.0.mlp.experts.down_proj": np.ones((3, 6, 8), "f4")}, tmp_path / "base/model.safetensors")
    (tmp_path / "base" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not store each one's gate, up and down apart"):
        Adapter(adapter(tmp_path / "lora", 6)[0], Checkpoint(tmp_path / "base"))
