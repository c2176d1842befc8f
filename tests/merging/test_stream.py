"""Sums of checkpoints and adapters: the values, and what is recognised as unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from merging import stream
from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.stream import linear, plain

ROWS, COLUMNS = 40, 24
TARGET = "layer.q_proj.weight"


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        TARGET: torch.randn(ROWS, COLUMNS, generator=generator),
        "norm.weight": torch.randn(7, generator=generator),
    }
    return {name: tensor.to(torch.bfloat16) for name, tensor in drawn.items()}


def checkpoint(folder: Path, values: dict[str, torch.Tensor]) -> Checkpoint:
    folder.mkdir()
    save_file(values, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return Checkpoint(folder)


def adapter(folder: Path, base: Checkpoint, seed: int) -> tuple[Adapter, torch.Tensor]:
    """An adapter, and what it adds in fp32."""
    generator = torch.Generator().manual_seed(seed)
    down, up = torch.randn(3, COLUMNS, generator=generator), torch.randn(ROWS, 3, generator=generator)
    folder.mkdir()
    names = [f"base_model.model.layer.q_proj.lora_{part}.weight" for part in "AB"]
    save_file(dict(zip(names, (down, up), strict=True)), folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return Adapter(folder, base), 2.0 * (up @ down)


@pytest.fixture
def zoo(tmp_path: Path) -> dict[str, Any]:
    values = {name: tensors(seed) for seed, name in enumerate(("base", "a", "b"))}
    models = {name: checkpoint(tmp_path / name, value) for name, value in values.items()}
    added, delta = adapter(tmp_path / "lora", models["base"], 9)
    other, other_delta = adapter(tmp_path / "lora2", models["base"], 10)
    return {"values": values, "models": models, "lora": (added, delta), "lora2": (other, other_delta)}


@pytest.fixture(params=[64, 1 << 18])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that tensors are computed in many, and the real size."""
    monkeypatch.setattr(stream, "BLOCK", request.param)


def exact(blend: stream.Blend, name: str, wanted: torch.Tensor) -> None:
    found = blend.tensor(name)
    assert found.dtype == torch.bfloat16
    gap = (found.float() - wanted).abs()
    # One rounding from fp32: half a unit in the last of bfloat16's eight places, and no more.
    assert bool((gap <= wanted.abs() * 2**-8 + 1e-7).all())


@pytest.mark.usefixtures("block")
def test_a_checkpoint_comes_out_as_it_is_stored(zoo: dict[str, Any]) -> None:
    for name, tensor in plain((zoo["models"]["a"], None)):
        assert torch.equal(tensor, zoo["values"]["a"][name])


@pytest.mark.usefixtures("block")
def test_an_adapter_is_added_in_fp32_with_one_rounding(zoo: dict[str, Any]) -> None:
    base = zoo["values"]["base"]
    blend = plain((zoo["models"]["base"], zoo["lora"][0]))
    exact(blend, TARGET, base[TARGET].float() + zoo["lora"][1])
    assert torch.equal(blend.tensor("norm.weight"), base["norm.weight"])


@pytest.mark.usefixtures("block")
def test_linear_is_the_weighted_mean(zoo: dict[str, Any]) -> None:
    values, models = zoo["values"], zoo["models"]
    blend = linear([(models["a"], None), (models["b"], None)], [1.0, 3.0])
    for name in values["a"]:
        exact(blend, name, 0.25 * values["a"][name].float() + 0.75 * values["b"][name].float())


@pytest.mark.usefixtures("block")
def test_adapters_over_one_base_merge_reading_it_once(zoo: dict[str, Any]) -> None:
    base = zoo["models"]["base"]
    blend = linear([(base, zoo["lora"][0]), (base, zoo["lora2"][0])], [1.0, 1.0])
    assert len(blend.dense) == 1
    wanted = zoo["values"]["base"][TARGET].float() + 0.5 * zoo["lora"][1] + 0.5 * zoo["lora2"][1]
    exact(blend, TARGET, wanted)
    assert torch.equal(blend.tensor("norm.weight"), zoo["values"]["base"]["norm.weight"])


def test_only_tensors_that_may_differ_are_named(zoo: dict[str, Any], tmp_path: Path) -> None:
    models = zoo["models"]
    base, tuned = plain((models["base"], None)), plain((models["base"], zoo["lora"][0]))
    assert base.differing(base) == set()
    assert base.differing(tuned) == tuned.differing(base) == {TARGET}
    # A fine-tune that left a tensor alone: found by its bytes, though the files are different.
    half = {**zoo["values"]["a"], "norm.weight": zoo["values"]["base"]["norm.weight"]}
    assert base.differing(plain((checkpoint(tmp_path / "half", half), None))) == {TARGET}
    almost = {name: tensor.clone() for name, tensor in zoo["values"]["base"].items()}
    almost["norm.weight"][-1] += 1
    assert base.differing(plain((checkpoint(tmp_path / "almost", almost), None))) == {"norm.weight"}


def test_sources_of_different_shapes_are_refused_by_tensor(zoo: dict[str, Any], tmp_path: Path) -> None:
    base = (zoo["models"]["base"], None)
    short = checkpoint(tmp_path / "short", {TARGET: zoo["values"]["a"][TARGET]})
    with pytest.raises(CheckpointError, match=r"'norm\.weight' is missing"):
        linear([base, (short, None)], [1.0, 1.0])
    narrow = checkpoint(tmp_path / "narrow", {**zoo["values"]["a"], TARGET: torch.zeros(2, 2, dtype=torch.bfloat16)})
    with pytest.raises(CheckpointError, match=r"q_proj\.weight' has shape \[2, 2\]"):
        linear([base, (narrow, None)], [1.0, 1.0])
    with pytest.raises(CheckpointError, match="a weight for each"):
        linear([base], [])
    with pytest.raises(CheckpointError, match="a weight for each"):
        linear([base, base], [1.0, -1.0])
