"""The recipes that model cards show most often, in their usual spelling, run unchanged over tiny models of 32 layers.

Each result loads in transformers with nothing missing or unexpected, and generates; what a recipe is known for is
checked against a formula.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from small_llamas import TOKENS, random_tensors, values_of, write_model

from merging.merge import MergeSummary, merge
from merging.recipe_file import load

LAYERS = 32
MODELS = ("base-7b", "chat-7b", "code-7b", "math-7b", "story-7b")


def tokenizer(folder: Path, more: tuple[str, ...] = ()) -> None:
    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(3, TOKENS)), *more]
    model = {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(words)}, "unk_token": "<unk>"}
    data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def adapter(folder: Path) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    rng = np.random.default_rng(9)
    parts = {f"base_model.model.model.layers.{n}.self_attn.q_proj.lora_{s}.weight": s for n in range(32) for s in "AB"}
    tensors = {name: rng.normal(0, 0.1, (4, 32) if side == "A" else (32, 4)) for name, side in parts.items()}
    save_file({name: array.astype("f4") for name, array in tensors.items()}, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "lab/base-7b"}))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("cards")
    said = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 4, "hidden_act": "silu"}
    said |= {"bos_token_id": 1, "eos_token_id": 2, "rms_norm_eps": 1e-6, "max_position_embeddings": 64}
    (top / "lab").mkdir()
    for seed, name in enumerate(MODELS):
        folder = write_model(top / "lab" / name, random_tensors(seed, LAYERS, head=True), **said)
        tokenizer(folder)
    more = write_model(top / "lab" / "chatml-7b", random_tensors(5, LAYERS, TOKENS + 2, head=True), **said)
    tokenizer(more, ("<|im_start|>", "<|im_end|>"))
    adapter(top / "lab" / "role-lora")
    return top


RECIPES: Mapping[str, str] = {
    "slerp with two filters": """
slices:
  - sources:
      - model: lab/chat-7b
        layer_range: [0, 32]
      - model: lab/code-7b
        layer_range: [0, 32]
merge_method: slerp
base_model: lab/chat-7b
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5 # fallback for rest of tensors
dtype: bfloat16
""",
    "slerp in the form of a V": """
models:
  - model: lab/chat-7b
  - model: lab/code-7b
merge_method: slerp
base_model: lab/chat-7b
dtype: bfloat16
parameters:
  t: [0, 0.5, 1, 0.5, 0] # V shaped curve
""",
    "slerp of old with embeddings": """
models:
  - model: lab/chat-7b
  - model: lab/chatml-7b
merge_method: slerp
base_model: lab/chat-7b
parameters:
  t: 0.5
  embed_slerp: true
tokenizer_source: union
dtype: bfloat16
""",
    "ties with a base without parameters": """
models:
  - model: lab/base-7b
    # no parameters necessary for base model
  - model: lab/chat-7b
    parameters:
      density: 0.5
      weight: 0.5
  - model: lab/code-7b
    parameters:
      density: 0.5
      weight: 0.3
merge_method: ties
base_model: lab/base-7b
parameters:
  normalize: true
dtype: float16
""",
    "ties with gradients": """
models:
  - model: lab/chat-7b
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: lab/code-7b
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1] # weight gradient
  - model: lab/math-7b
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: lab/base-7b
parameters:
  normalize: true
  int8_mask: true
dtype: float16
""",
    "dare_ties with a mask in int8": """
models:
  - model: lab/base-7b
    # No parameters necessary for base model
  - model: lab/chat-7b
    parameters:
      density: 0.53
      weight: 0.4
  - model: lab/code-7b
    parameters:
      density: 0.53
      weight: 0.3
  - model: lab/math-7b
    parameters:
      density: 0.53
      weight: 0.3
merge_method: dare_ties
base_model: lab/base-7b
parameters:
  int8_mask: true
dtype: bfloat16
""",
    "dare_ties with a weighted base": """
merge_method: dare_ties
base_model: lab/base-7b
models:
  - model: lab/base-7b
    parameters:
      weight: 0.2
  - model: lab/chat-7b
    parameters:
      weight: 0.4
  - model: lab/code-7b
    parameters:
      weight: 0.4
parameters:
  density: 0.3
tokenizer:
  source: union
chat_template: auto
dtype: float32
out_dtype: bfloat16
""",
    "dare_linear": """
base_model: lab/base-7b
merge_method: dare_linear
models:
- {model: lab/chat-7b, parameters: {weight: 0.6, density: 0.8}}
- {model: lab/story-7b, parameters: {weight: 0.4, density: 0.8}}
parameters: {normalize: false, rescale: true}
dtype: bfloat16
""",
    "a chat vector by task arithmetic": """
merge_method: task_arithmetic
base_model: lab/base-7b
models:
  - model: lab/chat-7b
    parameters:
      weight: 1.0
  - model: lab/math-7b
    parameters:
      weight: -0.3
dtype: float32
""",
    "model_stock": """
base_model: lab/chat-7b
dtype: bfloat16
merge_method: model_stock
models:
  - model: lab/code-7b
  - model: lab/math-7b
  - model: lab/story-7b
tokenizer_source: lab/chat-7b
name: stocked
""",
    "model_stock with slices and weights that it ignores": """
slices:
  - sources:
      - model: lab/chat-7b
        layer_range: [0, 32]
      - model: lab/code-7b
        layer_range: [0, 32]
        parameters: {weight: [{filter: mlp, value: [2, 1]}, {value: 1}]}
      - model: lab/math-7b
        layer_range: [0, 32]
merge_method: model_stock
base_model: lab/chat-7b
dtype: float32
out_dtype: bfloat16
""",
    "linear": """
models:
  - model: lab/chat-7b
    parameters:
      weight: 1.0
  - model: lab/code-7b
    parameters:
      weight: 0.3
  - model: lab/story-7b
    parameters:
      weight: 0.5
merge_method: linear
dtype: float32
""",
    "depth up-scaling": """
slices:
  - sources:
    - model: lab/chat-7b
      layer_range: [0, 24]
  - sources:
    - model: lab/chat-7b
      layer_range: [8, 32]
merge_method: passthrough
dtype: bfloat16
""",
    "a frankenmerge of two": """
dtype: float16
merge_method: passthrough
slices:
- sources:
  - layer_range: [0, 16]
    model: lab/chat-7b
- sources:
  - layer_range: [8, 24]
    model: lab/story-7b
- sources:
  - layer_range: [17, 32]
    model: lab/chat-7b
- sources:
  - layer_range: [25, 32]
    model: lab/story-7b
""",
    "blocks that begin as nothing": """
slices:
  - sources:
    - model: lab/chat-7b
      layer_range: [0, 16]
  - sources:
    - model: lab/chat-7b
      layer_range: [15, 16]
      parameters:
        scale:
          - filter: o_proj
            value: 0.0
          - filter: down_proj
            value: 0.0
          - value: 1.0
  - sources:
    - model: lab/chat-7b
      layer_range: [16, 32]
merge_method: passthrough
dtype: bfloat16
""",
    "a linear merge with a last slice of nothing": """
merge_method: linear
slices:
- sources:
  - model: lab/chat-7b
    layer_range: [0, 32]
    parameters: {weight: 0.5}
  - model: lab/code-7b
    layer_range: [0, 32]
    parameters: {weight: 0.5}
- sources:
  - model: lab/story-7b
    layer_range: [32, 32]
    parameters: {weight: 1}
dtype: float32
""",
    "breadcrumbs": """
merge_method: breadcrumbs_ties
base_model: lab/base-7b
models:
  - model: lab/chat-7b
    parameters: {weight: 0.5, density: 0.9, gamma: 0.01}
  - model: lab/code-7b
    parameters: {weight: 0.5, density: 0.9, gamma: 0.01}
parameters: {normalize: true}
dtype: bfloat16
tokenizer_source: base
""",
    "della with epsilon and lambda": """
models:
  - model: lab/chat-7b
    parameters:
      weight: 0.5
      density: 0.5
      epsilon: 0.1
  - model: lab/code-7b
    parameters:
      weight: [0.4, 0.2, 0.4]
      density: 0.6
      epsilon: 0.2
merge_method: della_linear
base_model: lab/base-7b
parameters:
  normalize: true
  int8_mask: true
  lambda: 1.1
dtype: bfloat16
""",
    "sce": """
merge_method: sce
base_model: lab/chat-7b
tokenizer:
  source: base
models:
  - model: lab/code-7b
  - model: lab/math-7b
parameters:
  select_topk: 0.15
dtype: bfloat16
""",
    "nuslerp and a chat template": """
models:
  - model: lab/chat-7b
    parameters:
      weight:
        - filter: self_attn
          value: 0.6
        - value: 0.4
  - model: lab/chatml-7b
    parameters:
      weight: 0.5
merge_method: nuslerp
dtype: bfloat16
chat_template: "chatml"
tokenizer:
  source: union
parameters:
  normalize: true
  int8_mask: true
""",
    "karcher": """
models:
  - model: lab/chat-7b
  - model: lab/code-7b
  - model: lab/math-7b
merge_method: karcher
dtype: bfloat16
parameters:
  max_iter: 10
  tol: 1e-5
tokenizer_source: base
""",
    "arcee_fusion": """
models:
  - model: lab/chat-7b
  - model: lab/code-7b
merge_method: arcee_fusion
base_model: lab/chat-7b
out_dtype: bfloat16
dtype: float32
tokenizer:
  source: base
""",
    "adapters over their base": """
models:
  - model: lab/base-7b+lab/role-lora
    parameters:
      weight: 1.0
  - model: lab/chat-7b
    parameters:
      weight: 0.0
merge_method: linear
dtype: float32
""",
    "several stages": """
name: core
merge_method: nuslerp
models:
  - model: lab/chat-7b
    parameters:
      weight: 0.4
  - model: lab/code-7b
    parameters:
      weight: 0.6
dtype: bfloat16
---
name: blend
merge_method: slerp
base_model: lab/math-7b
models:
  - model: lab/math-7b
  - model: lab/story-7b
parameters: {t: 0.5}
dtype: bfloat16
---
merge_method: passthrough
slices:
- sources:
  - model: lab/base-7b
    layer_range: [0, 5]
- sources:
  - model: core
    layer_range: [5, 22]
- sources:
  - model: blend
    layer_range: [22, 32]
dtype: bfloat16
""",
}
COUNTS = {"depth up-scaling": 48, "a frankenmerge of two": 54, "blocks that begin as nothing": 33}


@pytest.fixture(scope="module")
def made(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, MergeSummary]]:
    top = tmp_path_factory.mktemp("made")
    done: dict[str, tuple[Path, MergeSummary]] = {}

    def make(name: str) -> tuple[Path, MergeSummary]:
        if name not in done:
            (top / f"{len(done)}.yml").write_text(RECIPES[name])
            with pytest.MonkeyPatch.context() as here:
                here.chdir(lab)
                done[name] = top / f"out-{len(done)}", merge(load(top / f"{len(done)}.yml"), top / f"out-{len(done)}")
        return done[name]

    return make


@pytest.mark.parametrize("name", RECIPES)
def test_a_published_recipe_loads_and_generates(made: Callable[..., tuple[Path, MergeSummary]], name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out, _ = made(name)
    model, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.num_hidden_layers == COUNTS.get(name, LAYERS)
    ids = AutoTokenizer.from_pretrained(out)("w5 w6 w7", return_tensors="pt")["input_ids"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        assert model.generate(ids, max_new_tokens=2, min_new_tokens=2, do_sample=False).shape[1] == ids.shape[1] + 2
    with torch.no_grad():
        assert torch.isfinite(model(ids).logits).all()


def test_the_gradients_run_from_the_first_layer_to_the_last(
    made: Callable[..., tuple[Path, MergeSummary]], lab: Path
) -> None:
    chat, code = (values_of(lab / "lab" / name) for name in ("chat-7b", "code-7b"))
    found = values_of(made("slerp with two filters")[0])
    for layer, part, t in ((0, "self_attn.q_proj", 0.0), (31, "self_attn.q_proj", 1.0), (31, "mlp.up_proj", 0.0)):
        name = f"model.layers.{layer}.{part}.weight"
        np.testing.assert_allclose(found[name], chat[name] if t == 0 else code[name], atol=2e-3)
    curve = values_of(made("slerp in the form of a V")[0])
    for layer, other in ((0, chat), (31, chat)):
        name = f"model.layers.{layer}.mlp.up_proj.weight"
        np.testing.assert_allclose(curve[name], other[name], atol=2e-3)


def test_sums_are_sums(made: Callable[..., tuple[Path, MergeSummary]], lab: Path) -> None:
    base, chat, code, math, story = (values_of(lab / "lab" / name) for name in MODELS)
    name = "model.layers.7.self_attn.k_proj.weight"
    found = {case: values_of(made(case)[0]) for case in ("a chat vector by task arithmetic", "linear")}
    wanted = base[name] + (chat[name] - base[name]) - 0.3 * (math[name] - base[name])
    np.testing.assert_allclose(found["a chat vector by task arithmetic"][name], wanted, atol=1e-6)
    wanted = (chat[name] + 0.3 * code[name] + 0.5 * story[name]) / 1.8
    np.testing.assert_allclose(found["linear"][name], wanted, atol=1e-6)
    last = values_of(made("a linear merge with a last slice of nothing")[0])
    np.testing.assert_allclose(last[name], (chat[name] + code[name]) / 2, atol=1e-6)
    np.testing.assert_allclose(last["model.norm.weight"], story["model.norm.weight"], atol=1e-6)


def test_stacks_hold_the_layers_that_they_name(made: Callable[..., tuple[Path, MergeSummary]], lab: Path) -> None:
    chat, story = (values_of(lab / "lab" / name) for name in ("chat-7b", "story-7b"))
    tail = "self_attn.v_proj.weight"
    scaled = values_of(made("depth up-scaling")[0])
    np.testing.assert_array_equal(scaled[f"model.layers.24.{tail}"], chat[f"model.layers.8.{tail}"])
    two = values_of(made("a frankenmerge of two")[0])
    np.testing.assert_allclose(two[f"model.layers.16.{tail}"], story[f"model.layers.8.{tail}"], atol=1e-3)
    np.testing.assert_allclose(two[f"model.layers.53.{tail}"], story[f"model.layers.31.{tail}"], atol=1e-3)
    none = values_of(made("blocks that begin as nothing")[0])
    assert not none["model.layers.16.self_attn.o_proj.weight"].any()
    np.testing.assert_array_equal(none[f"model.layers.16.{tail}"], chat[f"model.layers.15.{tail}"])


def test_vocabularies_templates_and_notes(made: Callable[..., tuple[Path, MergeSummary]]) -> None:
    for name in ("slerp of old with embeddings", "nuslerp and a chat template"):
        assert json.loads((made(name)[0] / "config.json").read_text())["vocab_size"] == TOKENS + 2
    assert "<|im_start|>" in (made("nuslerp and a chat template")[0] / "chat_template.jinja").read_text()
    assert any("embed_slerp" in note for note in made("slerp of old with embeddings")[1].notes)
    assert any("weight" in note for note in made("model_stock with slices and weights that it ignores")[1].notes)


def test_an_adapter_adds_its_product(made: Callable[..., tuple[Path, MergeSummary]], lab: Path) -> None:
    from safetensors.numpy import load_file

    name = "model.layers.3.self_attn.q_proj"
    base = values_of(lab / "lab" / "base-7b")[f"{name}.weight"]
    parts = load_file(lab / "lab" / "role-lora" / "adapter_model.safetensors")
    a, b = (parts[f"base_model.model.{name}.lora_{side}.weight"].astype("f8") for side in "AB")
    found = values_of(made("adapters over their base")[0])[f"{name}.weight"]
    np.testing.assert_allclose(found, base + 2 * b @ a, atol=1e-5)
