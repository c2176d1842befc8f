"""Every tensor of every source arrives, or is named with the reason; names, towers, lists of layers, side files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_decoders import decoder, linear, stacked, write

from merging.checkpoint import Checkpoint, CheckpointError
from merging.merge import merge
from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError

RNG = np.random.default_rng(0)


def test_every_stored_tensor_is_used_or_named(tmp_path: Path) -> None:
    extra = {"model.layers.0.rotary_emb.inv_freq": np.ones(2), "embeddings.position_ids": np.arange(6)[None]}
    a, b = decoder(3) | extra, decoder(3) | {"pooler.dense.weight": RNG.normal(size=(4, 4))}
    b |= {"model.layers.3.eh_proj.weight": RNG.normal(size=(4, 8))}
    folders = write(tmp_path / "a", a, num_hidden_layers=3), write(tmp_path / "b", b, num_hidden_layers=3)
    plan = Merge(parse(linear(*folders)))
    left = {name for each in plan.left_out for name in each.names}
    assert left == {*extra, "model.layers.3.eh_proj.weight"}
    assert {*a, *b} - left == set(plan.names)
    assert any("pooler.dense.weight: taken over from" in note for note in plan.notes)
    merge(parse(linear(*folders)), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(f"`{name}`" in card for name in left)


def test_a_slice_leaves_the_layers_that_it_does_not_name_in_the_card(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, decoder(3), num_hidden_layers=3) for name in "ab"]
    slices = stacked((folders[0], 0, 2), (folders[1], 1, 2))
    plan = Merge(parse({"merge_method": "passthrough", "slices": slices}))
    reasons = {each.reason: each for each in plan.left_out if each.model == str(folders[1])}
    assert "model.layers.0.attn.weight" in reasons["in no layer_range of the recipe"].names
    assert "model.embed_tokens.weight" in next(v for k, v in reasons.items() if "first slice" in k).names


def test_an_empty_last_slice_gives_what_follows_the_layers(tmp_path: Path) -> None:
    a, b = decoder(2), decoder(2)
    folders = [write(tmp_path / name, tensors, num_hidden_layers=2) for name, tensors in (("a", a), ("b", b))]
    pair = [{"model": str(folder), "layer_range": [0, 2], "parameters": {"weight": 1}} for folder in folders]
    last = [{"model": str(folders[0]), "layer_range": [2, 2], "parameters": {"weight": 1}}]
    plan = Merge(
        parse({"merge_method": "linear", "slices": [{"sources": pair}, {"sources": last}], "dtype": "float32"})
    )
    np.testing.assert_array_equal(plan.array("model.norm.weight"), a["model.norm.weight"].astype("f4"))
    assert len(plan.names) == len(a)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    few = write(tmp_path / "few", decoder(2), num_hidden_layers=3)
    with pytest.raises(CheckpointError, match="num_hidden_layers 3, but there are tensors of 2 layers"):
        Merge(parse(linear(few)))


# Towers ---------------------------------------------------------------------------------------------------------


def test_lists_with_an_entry_for_each_layer_and_lists_of_layers_follow_the_slices(tmp_path: Path) -> None:
    lists = {"no_rope_layers": [1, 1, 0], "moe_layers": [1, 2], "full_attn_idxs": [2], "eos_token_id": [0, 1, 2]}
    folder = write(tmp_path / "a", decoder(3), num_hidden_layers=3, invented_by_layer=["x", "y", "z"], **lists)
    slices = stacked((folder, 0, 1), (folder, 1, 3), (folder, 2, 3))
    merge(parse({"merge_method": "passthrough", "slices": slices}), tmp_path / "out")
    config = Checkpoint(tmp_path / "out").config
    assert config["num_hidden_layers"] == 4
    assert config["invented_by_layer"] == ["x", "y", "z", "z"]
    assert (config["no_rope_layers"], config["moe_layers"]) == ([1, 1, 0, 0], [1, 2, 3])
    assert (config["full_attn_idxs"], config["eos_token_id"]) == ([2, 3], [0, 1, 2])


def test_a_layer_may_not_take_the_place_of_one_of_another_kind_unsaid(tmp_path: Path) -> None:
    tensors = decoder(3) | {"model.layers.2.experts.weight": RNG.normal(size=(2, 2))}
    folder = write(tmp_path / "a", tensors, num_hidden_layers=3)
    raw = {"merge_method": "passthrough", "slices": stacked((folder, 1, 3), (folder, 1, 3))}
    with pytest.raises(RecipeError, match=r"no list in config\.json says which layers"):
        merge(parse(raw), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    one = {"model": str(folder), "parameters": {"weight": 1}}
    pair = [{**one, "layer_range": [0, 1]}, {**one, "layer_range": [2, 3]}]
    with pytest.raises(CheckpointError, match="has no counterpart in layer 0"):
        Merge(parse({"merge_method": "linear", "slices": [{"sources": pair}]}))


# Vocabularies and files ------------------------------------------------------------------------------------------


def test_side_files_come_along_and_weights_beside_them_do_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", decoder(1), num_hidden_layers=1)
    carried = ("modeling_x.py", "1_Pooling/config.json", "preprocessor_config.json", "vocab.txt", "LICENSE")
    left = ("optimizer.pt", "model.onnx", "checkpoint-5/config.json", ".git/config", "trainer_state.json", "x/y.bin")
    (folder / "modules.json").write_text(json.dumps([{"path": "1_Pooling"}, {"path": "2_Dense"}]))
    for name in (*carried, *left, "2_Dense/model.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("here")
    result = merge(parse(linear(folder)), tmp_path / "out")
    assert all((tmp_path / "out" / name).read_text() == "here" for name in (*carried, "2_Dense/model.safetensors"))
    assert not any((tmp_path / "out" / name).exists() for name in left)
    assert any("2_Dense/model.safetensors" in note and "not merged" in note for note in result.notes)


def test_what_describes_the_former_weights_does_not_come_along(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", decoder(1), num_hidden_layers=1)
    for name in ("adapter_config.json", "adapter_model.safetensors", "hf_quant_config.json", "quantize_config.json"):
        # With an adapter_config.json beside it, transformers would load the adapter's base instead of the result.
        (folder / name).write_text('{"base_model_name_or_path": "another"}')
    result = merge(parse(linear(folder)), tmp_path / "out")
    assert not {file.name for file in (tmp_path / "out").iterdir()} & {file.name for file in folder.glob("*_*")}
    assert any("there is an adapter beside its weights, which is not added" in note for note in result.notes)


# Recipes ---------------------------------------------------------------------------------------------------------


def test_keys_without_effect_are_notes_and_a_range_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", decoder(2), num_hidden_layers=2)
    raw = linear(folder, name="x", normalize=True, int8_mask=True, parameters={"embed_slerp": True})
    raw["models"][0]["layer_range"] = [0, 2]
    notes = Merge(parse(raw)).notes
    assert [key for key in ("normalize", "int8_mask", "embed_slerp") if any(key in note for note in notes)] == [
        "normalize",
        "int8_mask",
        "embed_slerp",
    ]
    raw["models"][0]["layer_range"] = [0, 1]
    with pytest.raises(RecipeError, match="under `models`, where it has no effect"):
        Merge(parse(raw))
