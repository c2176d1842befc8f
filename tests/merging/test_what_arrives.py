"""Every tensor of every source arrives, or is named with the reason; names, towers, lists of layers, side files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_decoders import Tensors, decoder, linear, stacked, write

from merging.checkpoint import Checkpoint, CheckpointError
from merging.merge import merge
from merging.nested import planned
from merging.plan import Merge
from merging.recipe_file import load, parse
from merging.settings import RecipeError

RNG = np.random.default_rng(0)


def gpt2(prefix: str = "", mask: bool = False) -> Tensors:
    tensors: Tensors = {f"{prefix}wte.weight": RNG.normal(size=(6, 4)), f"{prefix}wpe.weight": RNG.normal(size=(6, 4))}
    for layer in range(2):
        tensors[f"{prefix}h.{layer}.attn.c_attn.weight"] = RNG.normal(size=(4, 12))
        tensors[f"{prefix}h.{layer}.attn.c_attn.bias"] = RNG.normal(size=12)
        if mask:
            tensors[f"{prefix}h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 6, 6), "f4"))
    return tensors


def test_a_bias_is_no_mask_and_a_hub_name_is_the_same_as_todays(tmp_path: Path) -> None:
    old, new = gpt2(mask=True), gpt2("transformer.")
    folders = write(tmp_path / "old", old, n_layer=2), write(tmp_path / "new", new, n_layer=2)
    plan = Merge(parse(linear(*folders)))
    name = "h.1.attn.c_attn.bias"
    np.testing.assert_allclose(plan.array(name), (old[name] + new[f"transformer.{name}"]) / 2, rtol=1e-6)
    assert set(plan.names) == {other for other in old if not other.endswith("attn.bias")} | {
        name,
        "h.0.attn.c_attn.bias",
    }
    (left,) = plan.left_out
    assert "causal mask" in left.reason
    assert len(left.names) == 2


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


def seeing(old: bool = True, layers: int = 3) -> Tensors:
    """A vision-language model with two vision layers, named as before or after the change of 2025."""
    text = "language_model.model." if old else "model.language_model."
    lead = "" if old else "model."
    vision = decoder(2, f"{lead}vision_tower.encoder.")
    vision = {name: array for name, array in vision.items() if ".layers." in name}
    bridge = {f"{lead}multi_modal_projector.linear.weight": RNG.normal(size=(4, 4))}
    return decoder(layers, text) | vision | bridge


CONFIG = {
    "architectures": ["LlavaForConditionalGeneration"],
    "text_config": {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "vocab_size": 6, "eos_token_id": [1, 2, 3]},
    "vision_config": {"num_hidden_layers": 2},
}


def test_a_slice_of_a_model_of_two_towers_names_its_tower(tmp_path: Path) -> None:
    a, b = seeing(), seeing()
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("a", a), ("b", b))]
    slices = stacked((folders[0], 0, 2), (folders[1], 0, 3))
    with pytest.raises(RecipeError, match="text_decoder, vision_tower: say under `modules:`"):
        Merge(parse({"merge_method": "passthrough", "slices": slices}))
    raw = {"merge_method": "passthrough", "modules": {"text_decoder": {"slices": slices}}, "dtype": "float32"}
    merge(parse(raw), tmp_path / "out")
    config = Checkpoint(tmp_path / "out").config
    assert config["text_config"]["num_hidden_layers"] == 5
    assert config["vision_config"]["num_hidden_layers"] == 2
    assert config["text_config"]["layer_types"] == ["a", "b", "a", "b", "c"]
    assert config["text_config"]["eos_token_id"] == [1, 2, 3]
    made = Checkpoint(tmp_path / "out")
    for place, (tensors, layer) in enumerate([(a, 0), (a, 1), (b, 0), (b, 1), (b, 2)]):
        name = "language_model.model.layers.{}.attn.weight"
        np.testing.assert_array_equal(made.array(name.format(place)), tensors[name.format(layer)].astype("f4"))
    sight = "vision_tower.encoder.layers.1.attn.weight"
    np.testing.assert_array_equal(made.array(sight), a[sight].astype("f4"))


def test_a_gradient_counts_the_layers_of_its_own_tower(tmp_path: Path) -> None:
    a, b = seeing(), seeing()
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("a", a), ("b", b))]
    raw = linear(*folders, parameters={"normalize": False})
    raw["models"][0]["parameters"], raw["models"][1]["parameters"] = {"weight": [1, 0]}, {"weight": [0, 1]}
    plan = Merge(parse(raw))
    for name in ("vision_tower.encoder.layers.1.attn.weight", "language_model.model.layers.2.attn.weight"):
        np.testing.assert_allclose(plan.array(name), b[name], rtol=1e-6)
    middle = "language_model.model.layers.1.attn.weight"
    np.testing.assert_allclose(plan.array(middle), (a[middle] + b[middle]) / 2, rtol=1e-5, atol=1e-6)


def test_old_and_new_names_and_a_text_model_fit_one_another(tmp_path: Path) -> None:
    old, new, text = seeing(), seeing(old=False), decoder(3)
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("old", old), ("new", new))]
    alone = write(tmp_path / "text", text, architectures=["LlamaForCausalLM"], num_hidden_layers=3)
    plan = Merge(parse(linear(*folders, alone)))
    assert set(plan.names) == set(old)
    name = "layers.1.attn.weight"
    wanted = (old[f"language_model.model.{name}"] + new[f"model.language_model.{name}"] + text[f"model.{name}"]) / 3
    np.testing.assert_allclose(plan.array(f"language_model.model.{name}"), wanted, rtol=1e-5, atol=1e-6)
    sight = "vision_tower.encoder.layers.1.attn.weight"
    np.testing.assert_allclose(plan.array(sight), (old[sight] + new[f"model.{sight}"]) / 2, rtol=1e-5, atol=1e-6)
    assert any("vision_tower" in note or "multi_modal" in note for note in plan.notes)


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


def tokenizer(folder: Path, tokens: list[str], **files: str) -> None:
    model = {
        "type": "WordLevel",
        "vocab": {token: number for number, token in enumerate(tokens)},
        "unk_token": tokens[0],
    }
    data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_whatever_has_the_vocabularys_length_is_aligned(tmp_path: Path) -> None:
    def model(count: int) -> Tensors:
        tensors = decoder(1)
        tensors["model.embed_tokens.weight"] = RNG.normal(size=(count, 4))
        tensors |= {"embed_out.weight": RNG.normal(size=(count, 4)), "lm_head.bias": RNG.normal(size=count)}
        return tensors | {"final_logits_bias": RNG.normal(size=(1, count)), "model.wpe.weight": RNG.normal(size=(6, 4))}

    a, b = model(6), model(8)
    folders = [write(tmp_path / name, tensors, num_hidden_layers=1) for name, tensors in (("a", a), ("b", b))]
    words = [f"t{n}" for n in range(5)]
    tokenizer(folders[0], [*words, "only_a"], tokenizer__model="old")
    tokenizer(folders[1], ["new", *words[::-1], "far", "past", "beyond"])
    merge(parse(linear(*folders, tokenizer_source="union")), tmp_path / "out")
    made = Checkpoint(tmp_path / "out")
    for name, axis in (
        ("model.embed_tokens.weight", 0),
        ("embed_out.weight", 0),
        ("lm_head.bias", 0),
        ("final_logits_bias", 1),
    ):
        mine, theirs, found = (np.moveaxis(each, axis, 0) for each in (a[name], b[name], made.array(name)))
        assert len(found) == 9  # six of a; new, far, past of b; `beyond` is numbered past its embedding
        np.testing.assert_allclose(found[0], (mine[0] + theirs[5]) / 2, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[5], mine[5], rtol=1e-6)
        np.testing.assert_allclose(found[8], theirs[7], rtol=1e-6)
    np.testing.assert_allclose(
        made.array("model.wpe.weight"), (a["model.wpe.weight"] + b["model.wpe.weight"]) / 2, rtol=1e-5
    )
    kept = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    assert [entry["content"] for entry in kept["added_tokens"]] == ["new", "far", "past"]
    assert not (tmp_path / "out" / "tokenizer.model").exists()


def test_base_takes_a_model_without_a_tokenizer_of_the_same_size(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, decoder(1), num_hidden_layers=1) for name in "ab"]
    tokenizer(folders[0], [f"t{n}" for n in range(6)])
    plan = Merge(parse(linear(*folders, tokenizer_source="base")))
    assert any("no tokenizer.json: its 6 tokens are taken to be those of" in note for note in plan.notes)
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        Merge(parse(linear(*folders, tokenizer_source="union")))


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


@pytest.mark.parametrize("name", ["chatml", "llama3", "alpaca", "mistral", "exaone"])
def test_a_chat_template_by_name_renders(tmp_path: Path, name: str) -> None:
    import jinja2

    folder = write(tmp_path / "a", decoder(1), num_hidden_layers=1)
    merge(parse(linear(folder, chat_template=name)), tmp_path / "out")
    template = jinja2.Environment().from_string((tmp_path / "out" / "chat_template.jinja").read_text())
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
    ]
    text = template.render(messages=turns, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
    assert text.index("S") < text.index("U") < text.rindex("A") or name == "alpaca"
    wanted = {"chatml": "<|im_start|>user\nU<|im_end|>\n", "mistral": "[INST] S\n\nU [/INST] A</s>"}
    wanted |= {
        "llama3": "user<|end_header_id|>\n\nU<|eot_id|>",
        "alpaca": "### Instruction:\nU\n\n### Response:\nA</s>",
    }
    assert wanted.get(name, "[|user|]U\n[|assistant|]A[|endofturn|]") in text


# Recipes ---------------------------------------------------------------------------------------------------------


def test_several_documents_are_the_same_as_writing_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "a", "b", "c"):
        write(tmp_path / name, decoder(2), num_hidden_layers=2, torch_dtype="float32")
    first = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 3}}]\n"
    second = (
        "merge_method: ties\nbase_model: base\ndtype: float32\n"
        "parameters: {weight: 1, density: 0.5}\nmodels: [{model: one}, {model: c}]\n"
    )
    dtype = "dtype: bfloat16\n"
    (tmp_path / "both.yml").write_text(f"name: one\n{first}{dtype}---\n{second}")
    (tmp_path / "first.yml").write_text(first + dtype)
    (tmp_path / "second.yml").write_text(second)
    found = planned(load(tmp_path / "both.yml"))
    merge(load(tmp_path / "first.yml"), tmp_path / "one")
    wanted = Merge(load(tmp_path / "second.yml"))
    assert found.names == wanted.names
    for name in wanted.names:
        np.testing.assert_array_equal(found.array(name), wanted.array(name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{first}---\nname: x\n{first}", "is a model of no other"),
        ("name: x\n{first}---\nname: x\n{first}", "occurs twice"),
        (
            "name: x\nmerge_method: linear\nmodels: [{{model: y}}]\n---\n"
            "name: y\nmerge_method: linear\nmodels: [{{model: x}}]",
            "itself",
        ),
        ("base_model: a\ngate_mode: random\nexperts: []\n", "mergekit-moe file"),
    ],
)
def test_documents_that_do_not_chain_are_refused(tmp_path: Path, text: str, message: str) -> None:
    first = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"
    (tmp_path / "r.yml").write_text(text.format(first=first))
    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "r.yml")


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


def test_pickles_are_read_only_where_that_is_allowed(tmp_path: Path) -> None:
    import torch

    tensors = decoder(1)
    folder = write(tmp_path / "a", tensors, num_hidden_layers=1)
    (folder / "model.safetensors").unlink()
    torch.save(
        {name: torch.from_numpy(array).to(torch.bfloat16) for name, array in tensors.items()},
        folder / "pytorch_model.bin",
    )
    with pytest.raises(CheckpointError, match="--allow-bin"):
        Merge(parse(linear(folder)))
    found = Merge(parse(linear(folder)), allow_bin=True)
    np.testing.assert_allclose(found.array("model.norm.weight"), tensors["model.norm.weight"], rtol=2**-8)
    torch.save({"a": Path("x")}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="not read by torch's weights-only loader"):
        Merge(parse(linear(folder)), allow_bin=True)


def test_statistics_that_are_about_nothing_are_refused(tmp_path: Path) -> None:
    tensors = decoder(1)
    folder = write(tmp_path / "a", tensors, num_hidden_layers=1)
    save_file({"other.weight": np.ones((4, 4), "f4")}, tmp_path / "s.safetensors")
    raw = {"merge_method": "regmean", "models": [{"model": str(folder)}]}
    raw["parameters"] = {"statistics": str(tmp_path / "s.safetensors")}  # type: ignore[assignment]
    with pytest.raises(RecipeError, match="none of its 1 tensors is about a weight"):
        Merge(parse(raw))
    save_file({"model.layers.0.attn.weight": np.eye(4, dtype="f4")}, tmp_path / "s.safetensors")
    notes = Merge(parse(raw)).notes
    assert any("no statistics, so averaged: " in note and "model.norm.weight" in note for note in notes)
