"""Engines that hold weights: what they refuse, what they write, and what their canary notices."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from merging.checkpoint import Checkpoint
from merging.stream import Blend
from orchestrator.errors import ExpertError, ExpertFailed
from orchestrator.inference.engines.canary import OTHER_ENGINE, difference
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights
from orchestrator.inference.request import Request, Sampling, request_key
from orchestrator.inference.schedule.placement import local_engine
from tests.orchestrator.inference.engines.conftest import Subject
from tests.orchestrator.inference.engines.tiny import changed_config

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

QUESTION = "Tell me about rivers."


def beside(model: Path, folder: Path, *without: str) -> Path:
    """A copy of a model's folder that shares its big file, unless told to go without it."""
    folder.mkdir()
    for file in model.iterdir():
        if file.name in without:
            continue
        if file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file)
        else:
            shutil.copy(file, folder / file.name)
    return folder


def saved(folder: Path, tensors: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def model_of(subject: Any) -> Any:
    """The torch model whose weights the engine computes with."""
    if subject.name == "transformers":
        return subject.engine._model
    return subject.engine._shape().live.model


def test_an_adapter_of_another_shape_is_refused_before_anything_changes(real: Any) -> None:
    before = real.ask(QUESTION)
    with pytest.raises(ExpertError, match=r"expert 'wide'.*_proj\.lora_A.*wanted a float \[4, \d+\]"):
        real.engine.load(real.more["wide"])
    assert real.ask(QUESTION) == before
    assert real.engine.load(real.first).way == "resident"


def test_a_checkpoint_with_a_tensor_missing_is_refused_by_name(real: Any, model_folder: Path, tmp_path: Path) -> None:
    before = real.ask(QUESTION)
    tensors = dict(Blend(((1.0, Checkpoint(model_folder)),)))
    del tensors["model.layers.7.mlp.down_proj.weight"]
    folder = saved(beside(model_folder, tmp_path / "m", "model.safetensors"), tensors)
    with pytest.raises(ExpertError, match=r"tensor 'model\.layers\.7\.mlp\.down_proj\.weight' is missing"):
        real.engine.load(replace(real.first, name="holed", fingerprint="holed", weights=Weights(folder)))
    assert real.ask(QUESTION) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_parameters": {"rope_theta": 1.0, "rope_type": "default"}}, r"config\.json: rope_parameters is"),
        ({"num_attention_heads": 18, "head_dim": 32}, r"head_dim is 32"),
    ],
)
def test_a_config_that_differs_is_refused_by_key(
    real: Any, model_folder: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = beside(model_folder, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ExpertError, match=message):
        real.engine.load(replace(real.first, name="odd", fingerprint="odd", weights=Weights(folder)))


def test_another_tokenizer_is_refused(real: Any, model_folder: Path, tmp_path: Path) -> None:
    folder = beside(model_folder, tmp_path / "m")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"][-1]["special"] = not tokenizer["added_tokens"][-1]["special"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ExpertError, match="another tokenizer"):
        real.engine.load(replace(real.first, name="odd", fingerprint="odd", weights=Weights(folder)))


def test_a_model_without_chat_template_is_refused_unless_the_expert_brings_one(
    real: Any, model_folder: Path, tmp_path: Path
) -> None:
    folder = beside(model_folder, tmp_path / "m", "chat_template.jinja")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    bare = replace(real.first, name="bare", fingerprint="bare", weights=Weights(folder))
    with pytest.raises(ExpertError, match="no chat template"):
        real.engine.load(bare)
    template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    own = replace(bare, name="own", fingerprint="own", chat_template=template)
    assert real.engine.load(own).way == "in_place"
    assert real.ask(QUESTION, own)


def test_a_recipe_answers_as_its_tensors_written_by_transformers(real: Any, reference: Any) -> None:
    recipe = ExpertRecipe(
        "task_arithmetic", (real.second.weights, real.more["two"].weights), (0.6, 0.5), real.first.weights
    )
    merged = Expert("merged", "merged", real.first.shape, recipe=recipe, context=real.first.context)
    assert real.engine.load(merged).way == "in_place"
    assert real.ask(QUESTION, merged)
    # Without instructions for bfloat16 a processor is up to a whole unit off in a logit; another model is more.
    assert difference(reference(merged, 2), real.engine.canary(), 2 * OTHER_ENGINE) is None
    assert difference(reference(real.first, 2), real.engine.canary(), 2 * OTHER_ENGINE) is not None
    # The reference is one that can tell: another expert's fails.
    assert difference(reference(real.second, 2), real.engine.canary(), OTHER_ENGINE) is not None


@pytest.mark.parametrize("method", ["ties", "dare_linear"])
def test_a_recipe_answers_as_the_same_merge_written_to_disk(real: Any, tmp_path: Path, method: str) -> None:
    from merging.merge import merge
    from merging.recipe_file import parse

    sources = real.second.weights, real.more["two"].weights
    each = ({"density": 0.6}, {"density": [0.2, 0.9]})
    recipe = ExpertRecipe(method, sources, (0.6, 0.5), real.first.weights, {"normalize": False}, each, seed=5)
    swapped = Expert(method, method, real.first.shape, recipe=recipe, context=real.first.context)
    assert real.engine.load(swapped).way == "in_place"
    said, live = real.ask(QUESTION, swapped), real.engine.canary()
    merge(parse(recipe.raw()).seeded(5), tmp_path / "disk")
    written = replace(
        swapped, name="disk", fingerprint=f"{method}-disk", recipe=None, weights=Weights(tmp_path / "disk")
    )
    assert real.engine.load(written).way == "in_place"
    assert real.engine.canary() == live
    assert real.ask(QUESTION, written) == said
    assert real.engine.load(real.first).way == "in_place"
    assert real.engine.canary() != live


@pytest.mark.parametrize("name", ["transformers", "vllm"])
def test_a_token_beyond_the_embedding_costs_its_prompt_and_nobody_else(
    name: str, tiny_model: Any, tmp_path: Path, vllm_installed: None
) -> None:
    """Tokens are often added to a tokenizer, and the model left as it was."""
    original = tiny_model("tied", 1)
    added = json.loads((original / "tokenizer.json").read_text())["added_tokens"]
    added += [{**added[-1], "id": 49152 + n, "content": content} for n, content in enumerate(("<|pad|>", "<|far|>"))]
    folder = changed_config(original, tmp_path / "longer", "tokenizer.json", added_tokens=added)
    expert = Expert("longer", "longer", "longer", weights=Weights(folder), context=256)
    subject = Subject(name, local_engine(name, EngineOptions(batch=4, kv_gib=0.05, context=256)), expert, expert)
    subject.engine.load(expert)
    before = subject.ask(QUESTION)
    for role in ("user", "prompt"):
        messages = ((role, "a <|far|> b"),)
        key = request_key(role, messages, Sampling())
        deltas = subject.run(Request(key, "longer", messages, Sampling()))[key]
        assert "token 49153 is not in the vocabulary of 49153" in str(deltas[-1].error)
    assert subject.ask(QUESTION) == before
    subject.engine.close()


def test_an_unknown_method_is_refused(real: Any) -> None:
    recipe = ExpertRecipe("tulip", (real.first.weights,), (1.0,))
    with pytest.raises(ExpertError, match=r"'tulip' is none of linear, .*task_arithmetic"):
        real.engine.load(Expert("t", "t", real.first.shape, recipe=recipe))


def test_the_canary_notices_live_weights_that_are_not_the_experts(real: Any) -> None:
    import torch

    real.engine.load(real.second)
    norm = model_of(real).model.layers[3].input_layernorm.weight
    kept = norm.detach().clone()
    real.engine.load(real.first)
    try:
        with torch.no_grad():
            norm.mul_(3.0)
        with pytest.raises(ExpertFailed, match="not its own"):
            real.engine.load(real.second)
        if real.name == "vllm":  # what proved wrong is written anew, in full
            real.engine.load(real.second)
            assert torch.equal(norm, kept)
    finally:
        with torch.no_grad():
            norm.copy_(kept)
    real.engine.load(real.second)
    real.engine.load(real.first)


def test_a_folder_that_changes_on_disk_is_read_anew(model_folder: Path, tmp_path: Path) -> None:
    sources = Sources()
    folder = beside(model_folder, tmp_path / "m", "model.safetensors")
    tensors = dict(Blend(((1.0, Checkpoint(model_folder)),)))
    expert = Expert("e", "e", "s", weights=Weights(folder))
    saved(folder, tensors)
    before = sources.blend(expert)
    assert sources.blend(expert).checkpoint is before.checkpoint
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 2
    (folder / "model.safetensors").unlink()
    saved(folder, tensors)
    assert before.differing(sources.blend(expert)) == {"model.norm.weight"}
