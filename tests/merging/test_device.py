"""What torch computes on a device is what the compiled kernels compute: checked with torch's device `cpu`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_llamas import numbers, random_tensors, write_model

from merging import device
from merging.checkpoint import CheckpointError
from merging.device import chosen
from merging.merge import merge
from merging.methods import METHODS
from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError

Family = Callable[[int], list[Path]]
ABLE = [method for method in METHODS if method.device]
SOME = ("model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight")
MORE: dict[str, dict[str, Any]] = {
    "linear": {"weight": 0.3},
    "lm_cocktail": {"loss": 0.7},
    "slerp": {"t": 0.4},
    "nearswap": {"t": 0.01},
    "task_arithmetic": {"weight": 0.4, "lambda": 0.7},
}


def recipe(name: str, folders: list[Path], **shared: Any) -> dict[str, Any]:
    method = next(method for method in METHODS if method.name == name)
    known = {parameter.name for parameter in method.parameters}
    usual = {"weight": 0.4, "density": 0.4, "gamma": 0.1}
    parameters = {key: value for key, value in {**usual, **MORE.get(name, {}), **shared}.items() if key in known}
    models = [{"model": str(folder)} for folder in folders[1 : 1 + min(method.max_sources or 3, 3)]]
    wanted = {"merge_method": name, "models": models, "parameters": parameters}
    return {**wanted, "base_model": str(folders[0])} if method.base == "required" else wanted


def test_the_methods_that_a_device_can_do() -> None:
    assert {method.name for method in METHODS if method.elementwise} <= {method.name for method in ABLE}
    assert {"ties", "dare_ties", "slerp", "karcher", "breadcrumbs"} <= {method.name for method in ABLE}


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", [method.name for method in ABLE])
def test_a_device_gives_the_same_within_one_rounding(
    family: Family, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str
) -> None:
    monkeypatch.setattr(device, "BLOCK", 1000)
    wanted = parse({**recipe(name, family(3)), "dtype": dtype}).seeded(3)
    ours, theirs = Merge(wanted), Merge(wanted, device="cpu")
    for tensor in SOME:
        first, second = ours.array(tensor), theirs.array(tensor)
        if dtype == "bfloat16":
            # Neighbours among bfloat16's numbers have neighbouring bits.
            assert np.abs(ordered(first) - ordered(second)).max() <= 1
        else:
            assert np.abs(first - second).max() <= 1e-6 * np.abs(first).max()


def ordered(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(bits >> 15, -(bits & 0x7FFF).astype("i4"), bits.astype("i4"))


def test_draws_are_the_same_on_a_device(family: Family) -> None:
    folders = family(1)
    wanted = parse({**recipe("dare_linear", folders), "dtype": "float32"}).seeded(7)
    ours, theirs = Merge(wanted), Merge(wanted, device="cpu")
    base = Merge(parse({"merge_method": "passthrough", "models": [{"model": str(folders[0])}], "dtype": "float32"}))
    for tensor in ours.names:
        kept = [plan.array(tensor) != base.array(tensor) for plan in (ours, theirs)]
        np.testing.assert_array_equal(*kept)
        assert 0 < kept[0].sum() < kept[0].size


@pytest.mark.parametrize("rescale", ["dare_linear", "ties"])
def test_a_former_size_is_restored_on_a_device_too(family: Family, rescale: str) -> None:
    more = {"rescale": True, **({"rescale_norm": "l1"} if rescale == "dare_linear" else {})}
    wanted = parse({**recipe(rescale, family(3), **more), "dtype": "float32"})
    ours, theirs = Merge(wanted), Merge(wanted, device="cpu")
    for tensor in SOME:
        np.testing.assert_allclose(theirs.array(tensor), ours.array(tensor), rtol=1e-5, atol=1e-6)


def test_a_whole_merge_with_an_adapted_type(family: Family, tmp_path: Path) -> None:
    folders = family(2)
    single = {name: array.astype("f4") for name, array in random_tensors(1).items()}
    folders[1] = write_model(tmp_path / "single", single)
    wanted = parse(recipe("ties", folders))
    merge(wanted, tmp_path / "ours")
    merge(wanted, tmp_path / "theirs", device="cpu")
    ours, theirs = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("ours", "theirs"))
    assert len(ours) == len(theirs)
    assert np.mean(np.frombuffer(ours, "u1") != np.frombuffer(theirs, "u1")) < 0.01


def test_broken_weights_are_named_on_a_device_too(family: Family, tmp_path: Path) -> None:
    folders = family(1)
    tensors: dict[str, Any] = random_tensors(1)
    name = "model.norm.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][5] = np.inf
    folders[1] = write_model(tmp_path / "broken", tensors)
    with pytest.raises(CheckpointError, match=rf"'{name}': element 5 is inf"):
        Merge(parse(recipe("linear", folders)), device="cpu").array(name)
    allowed = Merge(parse(recipe("linear", folders)), device="cpu", allow_nan=True).array(name)
    assert np.isinf(numbers(allowed)[5])


def test_what_is_not_there_is_refused(family: Family) -> None:
    assert chosen("cpu") is None
    with pytest.raises(RecipeError, match="wants cpu, cuda, cuda:NUMBER or auto"):
        chosen("gpu")
    with pytest.raises(RecipeError, match=r"sees [0-9]+ CUDA devices here"):
        chosen("cuda:99")
    with pytest.raises(RecipeError, match=r"della is computed on the CPU only; on a device of torch's: linear"):
        Merge(parse(recipe("della", family(3))), device="cpu")


@pytest.mark.skipif(chosen("auto") is None, reason="no CUDA device here")
@pytest.mark.parametrize("name", [method.name for method in ABLE])
def test_cuda_gives_the_same_within_one_rounding(family: Family, name: str) -> None:
    wanted = parse(recipe(name, family(3))).seeded(3)
    ours, theirs = Merge(wanted), Merge(wanted, device="cuda")
    for tensor in SOME:
        assert np.abs(ordered(ours.array(tensor)) - ordered(theirs.array(tensor))).max() <= 1
