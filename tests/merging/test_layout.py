"""Every tensor is used or named; what a model lacks is refused under the name that another one stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import RNG, Tensors, decoder, linear, write

from merging.checkpoint import CheckpointError
from merging.layout import FOLLOWS
from merging.plan import Merge
from merging.recipe_file import parse
from merging.result_config import result_config


def pair(tmp_path: Path, a: Tensors, b: Tensors, **config: object) -> tuple[Path, Path]:
    folders = [write(tmp_path / name, tensors, num_hidden_layers=2, **config) for name, tensors in (("a", a), ("b", b))]
    return folders[0], folders[1]


@pytest.mark.parametrize(
    "part",
    [
        "score.weight",
        "v_head.summary.weight",
        "qa_outputs.bias",
        "medusa_head.0.0.linear.weight",
        "model.mtp_layers.0.a",
    ],
)
def test_an_output_for_a_purpose_of_its_own_is_the_first_models_or_left_out(tmp_path: Path, part: str) -> None:
    plain, topped = pair(tmp_path, decoder(2), decoder(2) | {part: RNG.normal(size=(3, 4))})
    plan = Merge(parse(linear(plain, topped)))
    assert part not in plan.names
    assert [left.reason for left in plan.left_out if part in left.names] == [f"{plain} (XForCausalLM) has no such part"]
    plan = Merge(parse(linear(topped, plain)))
    assert part in plan.names
    assert any(note.startswith(f"{part}: taken over from {topped}") for note in plan.notes)


def test_a_lost_norm_is_refused_by_the_name_that_the_other_stores(tmp_path: Path) -> None:
    lost = {name: array for name, array in decoder(2).items() if name != "model.norm.weight"}
    folders = pair(tmp_path, lost, decoder(2))
    for order in (folders, folders[::-1]):
        with pytest.raises(CheckpointError, match=rf"a: tensor 'model\.norm\.weight' is missing \({folders[1]} has it"):
            Merge(parse(linear(*order)))


def test_an_output_layer_lost_from_an_untied_model_is_refused(tmp_path: Path) -> None:
    head = {"lm_head.weight": RNG.normal(size=(6, 4))}
    lost, whole = pair(tmp_path, decoder(2), decoder(2) | head, tie_word_embeddings=False)
    for order in ((lost, whole), (whole, lost)):
        with pytest.raises(CheckpointError, match=r"tensor 'lm_head\.weight' is missing"):
            Merge(parse(linear(*order)))


def test_a_zero_sized_and_an_integer_tensor_arrive(tmp_path: Path) -> None:
    more = {"model.layers.0.none": np.zeros((0, 4)), "model.layers.0.steps": np.array([1])}
    a, b = pair(tmp_path, decoder(2) | more, decoder(2) | {**more, "model.layers.0.steps": np.array([2])})
    plan = Merge(parse(linear(a, b)))
    assert plan.array("model.layers.0.none").shape == (0, 4)
    assert plan.array("model.layers.0.steps").tolist() == [1]
    assert any(f"model.layers.0.steps: I64, not merged: {a}'s, from which others differ" in note for note in plan.notes)


def predicting(seed: int) -> Tensors:
    """A decoder of two layers with a tower that predicts further tokens."""
    rng = np.random.default_rng(seed)
    outer = {"mtp.fc.weight": rng.normal(size=(4, 8)), "mtp.norm.weight": rng.normal(size=4)}
    return decoder(2) | outer | {"mtp.layers.0.attn.weight": rng.normal(size=(4, 4))}


def test_a_tower_that_predicts_further_tokens_is_the_first_models_whole_or_left_out_whole(tmp_path: Path) -> None:
    plain, more = pair(tmp_path, decoder(2), predicting(1))
    parts = {name for name in predicting(1) if name.startswith("mtp.")}
    plan = Merge(parse(linear(plain, more)))
    assert not parts & set(plan.names)
    assert [set(left.names) for left in plan.left_out] == [parts]
    plan = Merge(parse(linear(more, plain)))
    assert parts <= set(plan.names)


def test_what_predicts_further_tokens_comes_from_the_last_slice_whole(tmp_path: Path) -> None:
    a, b = predicting(1), predicting(2)
    folders = pair(tmp_path, a, b)
    slices = [{"sources": [{"model": str(folder), "layer_range": [0, 2]}]} for folder in folders]
    plan = Merge(parse({"merge_method": "passthrough", "slices": slices, "dtype": "float32"}))
    for name in ("mtp.fc.weight", "mtp.norm.weight", "mtp.layers.0.attn.weight"):
        np.testing.assert_array_equal(plan.array(name), b[name].astype("f4"), err_msg=name)
    assert {left.reason for left in plan.left_out if left.model == str(folders[0])} == {FOLLOWS}
    plan = Merge(parse({"merge_method": "passthrough", "slices": [slices[0], {"sources": [*slices[1]["sources"]]}]}))
    assert result_config(plan)["num_hidden_layers"] == 4


def test_numbers_that_are_packed_beside_a_weight_are_refused(tmp_path: Path) -> None:
    codes = {"model.layers.0.attn.W_q": np.arange(8, dtype="u1"), "model.layers.0.attn.scale": np.ones(4)}
    folders = pair(tmp_path, decoder(2) | codes, decoder(2) | codes)
    with pytest.raises(CheckpointError, match=r"W_q' is U8 \[8\]: packed or quantised"):
        Merge(parse(linear(*folders)))
    table = {"model.layers.0.relative_position_index": np.arange(4).reshape(2, 2)}
    (tmp_path / "tables").mkdir()
    folders = pair(tmp_path / "tables", decoder(2) | table, decoder(2) | table)
    assert Merge(parse(linear(*folders))).array(next(iter(table))).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("name", ["q.base_layer.weight", "q.lora_A.default.weight", "q.modules_to_save.default.weight"])
def test_an_adapter_that_was_never_merged_into_its_weights_is_refused(tmp_path: Path, name: str) -> None:
    folder = write(
        tmp_path / "a", decoder(2) | {f"model.layers.0.{name}": RNG.normal(size=(4, 4))}, num_hidden_layers=2
    )
    with pytest.raises(CheckpointError, match=r"an adapter that was never merged.*merge_and_unload"):
        Merge(parse({"merge_method": "passthrough", "models": [{"model": str(folder)}]}))


def test_float64_is_computed_and_written_in_float64(tmp_path: Path) -> None:
    a, b = decoder(2), decoder(2)
    folders = pair(tmp_path, a, b)
    plan = Merge(parse({**linear(*folders), "dtype": "float64"}))
    name = "model.layers.0.attn.weight"
    found = plan.array(name)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, (a[name].astype("f4").astype("f8") + b[name].astype("f4").astype("f8")) / 2)
