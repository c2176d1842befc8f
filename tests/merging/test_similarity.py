"""Cosines of all pairs from one pass, against the formula written out in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint
from merging.columns import SimilarityError
from merging.similarity import families, similarity

SHAPES = {
    "model.layers.0.self_attn.q_proj.weight": (140, 24),
    "model.layers.0.mlp.down_proj.weight": (24, 600),
    "model.layers.0.mlp.up_proj.weight": (66, 26),
    "model.layers.0.self_attn.q_proj.bias": (140,),
    "model.embed_tokens.weight": (50, 24),
}
COMPARED = [name for name in SHAPES if "embed" not in name]
Arrays = dict[str, NDArray[np.float32]]


def drawn(seed: int, scale: float = 1.0) -> Arrays:
    random = np.random.default_rng(seed)
    return {name: (scale * random.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def bfloat16(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded towards zero to a bfloat16 value, kept as fp32."""
    return (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def write(folder: Path, arrays: Arrays, dtype: str = "F32", architecture: str = "LlamaForCausalLM") -> Checkpoint:
    folder.mkdir()
    stored = {
        name: (array.view(np.uint32) >> 16).astype(np.uint16) if dtype == "BF16" else array
        for name, array in arrays.items()
    }
    header, position = {}, 0
    for name, array in stored.items():
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [position, position + array.nbytes]}
        position += array.nbytes
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(
        len(raw).to_bytes(8, "little") + raw + b"".join(array.tobytes() for array in stored.values())
    )
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return Checkpoint(folder)


def lora(folder: Path, base: Checkpoint, names: list[str], seed: int, rank: int = 3) -> tuple[Adapter, Arrays]:
    """An adapter on `names`, and what it adds."""
    from safetensors.numpy import save_file

    folder.mkdir()
    random, factors, added = np.random.default_rng(seed), {}, {}
    for name in names:
        rows, columns = SHAPES[name]
        down, up = random.standard_normal((rank, columns)), random.standard_normal((rows, rank))
        module = name.removesuffix(".weight")
        factors[f"base_model.model.{module}.lora_A.weight"] = down.astype(np.float32)
        factors[f"base_model.model.{module}.lora_B.weight"] = up.astype(np.float32)
        added[name] = (2.0 * up @ down).astype(np.float32)
    save_file(factors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank}))
    return Adapter(folder, base), added


def reference(one: Arrays, other: Arrays) -> float:
    """The definition: mean over tensors of the mean over columns in which either is not zero."""
    means = []
    for name in COMPARED:
        a, b = (np.asarray(arrays[name], np.float64) for arrays in (one, other))
        a, b = (array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(-1, 1) for array in (a, b))
        norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
        either = (a != 0).any(0) | (b != 0).any(0)
        if either.any():
            means.append(((a * b).sum(0)[either] / np.where(norms > 0, norms, 1)[either]).mean())
    return float(np.mean(means)) if means else 1.0


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_weights_are_compared_column_by_column(tmp_path: Path, dtype: str) -> None:
    base = drawn(0)
    arrays = [{name: bfloat16(base[name] + drawn(seed, 0.3 * seed)[name]) for name in SHAPES} for seed in range(4)]
    models = [(write(tmp_path / f"m{index}", each, dtype), None) for index, each in enumerate(arrays)]
    found = similarity(models)
    wanted = np.array([[reference(one, other) for other in arrays] for one in arrays])
    np.testing.assert_allclose(found.values, wanted, atol=2e-6)
    assert found.families == (0, 0, 0, 0)
    assert found.tensors == len(COMPARED)


def test_task_vectors_and_adapters_are_compared_without_multiplying_out(tmp_path: Path) -> None:
    base_arrays = drawn(0)
    base = write(tmp_path / "base", base_arrays)
    # A fine-tune moves weights by a thousandth: what is left after subtracting must not be rounding noise.
    tuned_arrays = {name: base_arrays[name] + drawn(1, 1e-3)[name] for name in SHAPES}
    tuned = write(tmp_path / "tuned", tuned_arrays)
    matrices = [name for name in COMPARED if len(SHAPES[name]) == 2]
    first, first_added = lora(tmp_path / "first", base, matrices, 2)
    second, second_added = lora(tmp_path / "second", base, matrices[:1], 3)
    models = [(base, None), (tuned, None), (base, first), (base, second), (tuned, second)]
    nothing = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    moved = {name: tuned_arrays[name] - base_arrays[name] for name in SHAPES}
    vectors = [
        nothing,
        moved,
        nothing | first_added,
        nothing | second_added,
        {name: moved[name] + second_added.get(name, 0) for name in SHAPES},
    ]
    found = similarity(models, [base] * 5).values
    wanted = np.array([[reference(one, other) for other in vectors] for one in vectors])
    np.testing.assert_allclose(found, wanted, atol=1e-5)

    weights = [{name: base_arrays[name] + vector[name] for name in SHAPES} for vector in vectors]
    raw = similarity(models).values
    np.testing.assert_allclose(raw, [[reference(one, other) for other in weights] for one in weights], atol=2e-6)


def test_other_architectures_and_shapes_are_not_compared(tmp_path: Path) -> None:
    same, wide = drawn(0), drawn(1) | {"model.embed_tokens.weight": np.ones((60, 24), np.float32)}
    models = [
        (write(tmp_path / "a", same), None),
        (write(tmp_path / "b", wide), None),
        (write(tmp_path / "c", same, architecture="MistralForCausalLM"), None),
        (write(tmp_path / "d", same), None),
    ]
    assert families(models) == (0, 1, 2, 0)
    found = similarity(models).values
    assert np.isnan(found[0, 1])
    assert np.isnan(found[2, 0])
    assert found[0, 3] == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_the_order_of_models_decides_nothing(dtype: str, tmp_path: Path) -> None:
    base = drawn(0)
    near = [
        {name: bfloat16(base[name] + array) for name, array in drawn(seed, 0.1 * seed).items()} for seed in range(1, 6)
    ]
    models = [(write(tmp_path / str(place), arrays, dtype), None) for place, arrays in enumerate(near)]
    values = similarity(models).values
    np.testing.assert_allclose(values, [[reference(one, other) for other in near] for one in near], atol=2e-6)
    np.testing.assert_allclose(np.diag(values), 1, atol=1e-6)
    np.testing.assert_array_equal(values, values.T)
    order = [3, 0, 4, 2, 1]
    found = similarity([models[place] for place in order], threads=1).values
    np.testing.assert_allclose(found, values[np.ix_(order, order)], atol=1e-7)


def test_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    broken = drawn(0)
    broken["model.layers.0.mlp.down_proj.weight"][3, 5] = np.nan
    good, bad = write(tmp_path / "good", drawn(1)), write(tmp_path / "bad", broken)
    with pytest.raises(SimilarityError, match=r"mlp.down_proj.weight' of .*bad: NaN"):
        similarity([(good, None), (bad, None)])
    with pytest.raises(SimilarityError, match="1 bases for 2 models"):
        similarity([(good, None), (good, None)], [good])
    small = write(tmp_path / "small", {name: array[:8] for name, array in drawn(2).items()})
    with pytest.raises(SimilarityError, match=r"small: tensor .* has shape \(8, 24\), in .*good \(140, 24\)"):
        similarity([(good, None)], [small])
