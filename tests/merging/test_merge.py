"""What a merge leaves on disk: whole, loadable, independent of threads and shards; or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_llamas import HIDDEN, INNER, bf16, numbers, random_tensors, values_of, write_model

from merging.checkpoint import Checkpoint, CheckpointError
from merging.merge import merge
from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError

Family = Callable[[int], list[Path]]
Q = "model.layers.1.self_attn.q_proj.weight"


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def ties(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 0.5, "density": 0.5}} for folder in folders[1:]]
    return {"merge_method": "ties", "base_model": str(folders[0]), "models": models, **more}


def test_the_result_loads_and_generates_in_transformers(family: Family, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folders = family(2)
    (folders[0] / "generation_config.json").write_text('{"eos_token_id": 3, "max_new_tokens": 4}')
    merge(parse(ties(folders)), tmp_path / "out", shard_bytes=20_000)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 2
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16)
    assert model.generation_config.eos_token_id == 3
    wanted = Merge(parse(ties(folders))).array(Q)
    live = model.state_dict()[Q].view(torch.int16).numpy().view("<u2")
    np.testing.assert_array_equal(live, wanted)
    assert model.generate(torch.tensor([[1, 2]]), max_new_tokens=3, do_sample=False).shape[1] <= 5


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_threads_and_shards_do_not_change_a_bit(family: Family, tmp_path: Path, method: str) -> None:
    folders = family(3)
    wanted = parse((linear if method == "linear" else ties)(folders))
    merge(wanted, tmp_path / "one", threads=1)
    merge(wanted, tmp_path / "many", threads=7, shard_bytes=10_000)
    one, many = Checkpoint(tmp_path / "one"), Checkpoint(tmp_path / "many")
    assert set(one.tensors) == set(many.tensors)
    for name in one.tensors:
        np.testing.assert_array_equal(one.array(name), many.array(name))


def test_types_are_converted_once(family: Family, tmp_path: Path) -> None:
    folders = family(1)
    single = {name: array.astype("f4") for name, array in random_tensors(1).items()}
    write_model(tmp_path / "single", single)
    half = {name: array.astype("f2") for name, array in random_tensors(1).items()}
    write_model(tmp_path / "half", half)
    merge(parse(linear([folders[0], tmp_path / "single", tmp_path / "half"], out_dtype="float32")), tmp_path / "out")
    found = Checkpoint(tmp_path / "out")
    assert found.tensors[Q].dtype == "F32"
    assert found.config["torch_dtype"] == "float32"
    mean = (values_of(folders[0])[Q] + single[Q].astype("f8") + half[Q].astype("f8")) / 3
    np.testing.assert_allclose(found.array(Q), mean, rtol=3e-7, atol=1e-8)


def test_an_adapter_is_a_source_like_any_other(family: Family, tmp_path: Path) -> None:
    (base,) = family(0)
    up, down = (
        np.random.default_rng(k).normal(0, 0.1, shape).astype("f4")
        for k, shape in enumerate(((HIDDEN, 2), (2, HIDDEN)))
    )
    folder = adapter(tmp_path / "lora", up, down)
    merge(parse(linear([base, Path(f"{base}+{folder}")], dtype="float32")), tmp_path / "out")
    wanted = values_of(base)[Q] + 0.5 * 3.0 * up.astype("f8") @ down.astype("f8")
    np.testing.assert_allclose(Checkpoint(tmp_path / "out").array(Q), wanted, rtol=2e-6, atol=1e-7)


def adapter(folder: Path, up: np.ndarray[Any, Any], down: np.ndarray[Any, Any]) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    module = f"base_model.model.{Q.removesuffix('.weight')}"
    save_file({f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_slices_stack_layers_of_several_models(family: Family, tmp_path: Path) -> None:
    folders = family(1)
    slices = [
        {"sources": [{"model": str(folders[0]), "layer_range": [0, 2]}]},
        {"sources": [{"model": str(folders[1]), "layer_range": [1, 3]}]},
    ]
    merge(parse({"merge_method": "passthrough", "slices": slices}), tmp_path / "out")
    found, first, second = (values_of(folder) for folder in (tmp_path / "out", *folders))
    assert Checkpoint(tmp_path / "out").config["num_hidden_layers"] == 4
    for layer, (model, own) in enumerate([(first, 0), (first, 1), (second, 1), (second, 2)]):
        name = "model.layers.{}.mlp.up_proj.weight"
        np.testing.assert_array_equal(found[name.format(layer)], model[name.format(own)])
    np.testing.assert_array_equal(found["model.embed_tokens.weight"], first["model.embed_tokens.weight"])
    np.testing.assert_array_equal(found["model.norm.weight"], second["model.norm.weight"])


def test_a_gradient_runs_from_the_first_layer_to_the_last(family: Family) -> None:
    folders = family(1)
    wanted = {"merge_method": "slerp", "base_model": str(folders[0]), "models": [{"model": str(folders[1])}]}
    plan = Merge(parse({**wanted, "parameters": {"t": [{"filter": "mlp", "value": [0, 1]}, {"value": 0}]}}))
    first, second = values_of(folders[0]), values_of(folders[1])
    for layer, source in ((0, first), (2, second)):
        name = f"model.layers.{layer}.mlp.up_proj.weight"
        np.testing.assert_array_equal(numbers(plan.array(name)), source[name])
    np.testing.assert_array_equal(numbers(plan.array(Q)), first[Q])


def test_an_output_layer_of_one_source_becomes_the_results(family: Family, tmp_path: Path) -> None:
    (tied,) = family(0)
    own = write_model(tmp_path / "own", random_tensors(1, head=True))
    merge(parse(linear([tied, own])), tmp_path / "out")
    found = Checkpoint(tmp_path / "out")
    assert found.config["tie_word_embeddings"] is False
    mean = (values_of(tied)["model.embed_tokens.weight"] + values_of(own)["lm_head.weight"]) / 2
    assert np.abs(numbers(found.array("lm_head.weight")) - mean).max() < 2e-3


def test_an_output_layer_beside_a_tied_embedding_counts_if_its_numbers_are_its_own(
    family: Family, tmp_path: Path
) -> None:
    (tied,) = family(0)
    own = write_model(tmp_path / "own", random_tensors(1, head=True), tie_word_embeddings=True)
    plan = Merge(parse(linear([tied, own])))
    assert any("the result is untied" in note for note in plan.notes)
    merge(parse(linear([own, tied])), tmp_path / "out")
    found = Checkpoint(tmp_path / "out")
    assert found.config["tie_word_embeddings"] is False
    mean = (values_of(tied)["model.embed_tokens.weight"] + values_of(own)["lm_head.weight"]) / 2
    assert np.abs(numbers(found.array("lm_head.weight")) - mean).max() < 2e-3
    tensors = random_tensors(1)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    same = write_model(tmp_path / "same", tensors, tie_word_embeddings=True)
    plan = Merge(parse(linear([tied, same])))
    assert "lm_head.weight" not in plan.names
    assert any(left.names == ("lm_head.weight",) and "which is the same" in left.reason for left in plan.left_out)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["bf16", "f4"])
def test_weights_that_are_no_numbers_are_named_and_refused(
    family: Family, tmp_path: Path, bad: float, kind: str
) -> None:
    (good,) = family(0)
    tensors: dict[str, Any] = random_tensors(1)
    tensors[Q] = tensors[Q].copy()
    tensors[Q][3, 4] = bad
    if kind == "f4":
        tensors = {name: array.astype("f4") for name, array in tensors.items()}
    else:
        tensors[Q] = bf16(tensors[Q]) if np.isinf(bad) else np.where(np.isnan(tensors[Q]), 0x7FC0, 0x3F80).astype("<u2")
    broken = write_model(tmp_path / "broken", tensors)
    with pytest.raises(CheckpointError, match=rf"broken.*'{Q}': element {3 * HIDDEN + 4} is (nan|inf|-inf)"):
        merge(parse(linear([good, broken])), tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    merge(parse(linear([good, broken])), tmp_path / "out", allow_nan=True)
    assert not np.isfinite(values_of(tmp_path / "out")[Q][3, 4])


def test_shapes_and_names_that_differ_are_refused_before_reading(family: Family, tmp_path: Path) -> None:
    (base,) = family(0)
    tensors = random_tensors(1)
    tensors[Q] = np.zeros((HIDDEN, INNER))
    with pytest.raises(CheckpointError, match=rf"tensor '{Q}' has shape \[32, 48\]"):
        Merge(parse(linear([base, write_model(tmp_path / "wide", tensors)])))
    del tensors[Q]
    with pytest.raises(CheckpointError, match=rf"few: tensor '{Q}' is missing"):
        Merge(parse(linear([base, write_model(tmp_path / "few", tensors)])))
    extra = "model.layers.0.extra.weight"
    with pytest.raises(CheckpointError, match=f"tensor '{extra}' is unknown to"):
        Merge(parse(linear([base, write_model(tmp_path / "more", {**random_tensors(1), extra: np.zeros(3)})])))
    with pytest.raises(CheckpointError, match="layers"):
        Merge(parse(linear([base, write_model(tmp_path / "deep", random_tensors(1, layers=4))])))
    with pytest.raises(RecipeError, match=r"linear: tensor 'model\.embed_tokens\.weight' of .*: the parameter weight"):
        Merge(parse({"merge_method": "linear", "models": [{"model": str(base)}]}))
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        Merge(parse(linear([tmp_path / "nowhere"])))


def test_weights_that_sum_to_zero_are_refused(family: Family) -> None:
    wanted = linear(family(1))
    wanted["models"][0]["parameters"] = {"weight": -1}
    with pytest.raises(RecipeError, match=r"linear: the weights of tensor 'model\.embed_tokens\.weight' sum to zero"):
        dict(Merge(parse(wanted)))


def test_the_command_merges_without_torch_and_refuses_in_one_line(family: Family, tmp_path: Path) -> None:
    import yaml

    config, folders = tmp_path / "config.yml", family(2)
    config.write_text(yaml.safe_dump(ties(folders)))
    program = (
        "import sys; from orchestrator.cli import main\n"
        "sys.argv = ['collegium', 'merge', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print([name for name in ('torch', 'transformers', 'vllm', 'ray') if name in sys.modules])"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)

    done = run(str(config), str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["tensors"] == len(random_tensors(0))
    assert done.stdout.splitlines()[-1] == "[]"
    config.write_text(yaml.safe_dump({**ties(folders), "models": [{"model": "nowhere"}], "parameters": {"weight": 1}}))
    refused = run(str(config), str(tmp_path / "out2"))
    assert refused.returncode == 2
    assert refused.stderr == "collegium: nowhere: no such folder\n"


def test_another_process_may_not_change_a_file_unnoticed(family: Family) -> None:
    folders = family(1)
    plan = Merge(parse(linear(folders)))
    os.truncate(folders[1] / "model.safetensors", 4096)
    with pytest.raises(CheckpointError, match="has changed while it was read"):
        dict(plan)
