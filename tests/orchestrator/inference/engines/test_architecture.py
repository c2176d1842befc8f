"""Which experts share an engine, and which config.json is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from merging.checkpoint import Checkpoint, CheckpointError
from orchestrator.inference.engines.architecture import (
    as_transformers,
    check_config,
    check_generates,
    forward_config,
    longest_context,
    longest_in_vllm,
)

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
    "eos_token_id": 2,
}


@pytest.mark.parametrize(
    "change",
    [
        {"eos_token_id": [2, 7], "pad_token_id": 0, "bos_token_id": None},
        {"attention_dropout": 0.1, "hidden_dropout_prob": 0.2, "resid_pdrop": 0.3},
        {"initializer_range": 0.5},
        {"max_position_embeddings": 131072},
        {"transformers_version": "5.0", "_name_or_path": "elsewhere", "use_cache": False},
        {"torch_dtype": None, "dtype": "bfloat16"},
        {"rope_theta": None, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}},
        {"zzz_trainers_own_note": {"lr": 1e-4}},
    ],
)
def test_what_no_forward_pass_depends_on_costs_no_new_engine(change: dict[str, Any]) -> None:
    other = {key: value for key, value in {**LLAMA, **change}.items() if value is not None}
    assert forward_config(other) == forward_config(LLAMA)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_theta": 500000.0},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"hidden_act": "gelu"},
        {"torch_dtype": "float16"},
        {"sliding_window": 64},
        {"architectures": ["MistralForCausalLM"]},
        {"rms_norm_eps": 1e-3},
        {"quantization_config": {"quant_method": "awq"}},
        {"tie_word_embeddings": True},
    ],
)
def test_what_a_forward_pass_depends_on_does(change: dict[str, Any]) -> None:
    assert forward_config({**LLAMA, **change}) != forward_config(LLAMA)


def test_a_rope_that_computes_with_the_length_keeps_it() -> None:
    scaled = {**LLAMA, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    assert forward_config(scaled) != forward_config({**scaled, "max_position_embeddings": 4096})


def test_the_least_length_that_a_config_names_counts() -> None:
    assert longest_context({"n_positions": 1024, "max_position_embeddings": 4096}) == 1024
    assert longest_context({"text_config": {"max_position_embeddings": 512}}) == 512
    assert longest_context({}) == 2**20


def test_vllm_is_told_what_transformers_reads_of_a_config_and_nothing_else() -> None:
    assert as_transformers(LLAMA) == {}
    assert as_transformers({**LLAMA, "sliding_window": 64, "logit_scale": 0.5}) == {
        "sliding_window": None,
        "logit_scale": 1.0,
    }
    mistral = {**LLAMA, "model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 64}
    assert as_transformers(mistral) == {}
    assert as_transformers({**LLAMA, "model_type": "cohere", "architectures": ["CohereForCausalLM"]}) == {}
    assert as_transformers({**LLAMA, "architectures": None}) == {"architectures": ["LlamaForCausalLM"]}
    assert as_transformers({**LLAMA, "model_type": "somebodys_own"}) == {}


def test_what_a_text_model_within_another_never_reads_is_left_out_too() -> None:
    inner = {"model_type": "llama", "sliding_window": 64, "logit_scale": 0.5}
    told = {"sliding_window": None, "logit_scale": 1.0}
    for outer in ("llava", "somebodys_own"):
        assert as_transformers({"model_type": outer, "text_config": inner}) == {"text_config": told}
    assert as_transformers({"model_type": "mistral3", "text_config": {**inner, "model_type": "mistral"}}) == {
        "text_config": {"logit_scale": 1.0}
    }
    for unknown in ("somebodys_own", "../models/llama", None):
        assert as_transformers({"model_type": "llava", "text_config": {**inner, "model_type": unknown}}) == {}


def embedding(folder: Path, name: str, config: dict[str, Any]) -> Checkpoint:
    import torch
    from safetensors.torch import save_file

    save_file({name: torch.zeros(8, 4)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "any", **config}))
    return Checkpoint(folder)


@pytest.mark.parametrize(
    "name",
    [
        "gpt_neox.embed_in.weight",
        "model.decoder.embed_tokens.weight",
        "backbone.embeddings.weight",
        "word_embeddings.weight",
        "language_model.model.embed_tokens.weight",
        "wte.weight",
    ],
)
@pytest.mark.parametrize("inner", [False, True], ids=["flat", "within another"])
def test_an_embedding_by_whatever_name_has_as_many_rows_as_the_vocabulary(
    tmp_path: Path, name: str, inner: bool
) -> None:
    for size in (7, 8, 9):
        config = {"text_config": {"vocab_size": size}, "vocab_size": 5} if inner else {"vocab_size": size}
        checkpoint = embedding(tmp_path, name, config)
        if size == 8:
            check_config(checkpoint)
            continue
        with pytest.raises(CheckpointError, match=f"vocab_size is {size}, but {name} has 8 rows"):
            check_config(checkpoint)


def test_other_embeddings_than_that_of_the_vocabulary_have_sizes_of_their_own(tmp_path: Path) -> None:
    for name in ("vision_tower.embeddings.weight", "model.embed_tokens_per_layer.weight", "wpe.weight"):
        check_config(embedding(tmp_path, name, {"vocab_size": 7}))
    check_config(embedding(tmp_path, "model.embed_tokens.weight", {"vocab_size": 7, "model_type": "mllama_text_model"}))


@pytest.mark.parametrize("form", ["rope_scaling", "rope_parameters"])
def test_factors_for_long_texts_bound_the_context_in_vllm(form: str) -> None:
    trained = {"original_max_position_embeddings": 512}
    for kind in ("longrope", "su"):
        rope = {"type" if form == "rope_scaling" else "rope_type": kind, "short_factor": [1.0]}
        outside, inside = {**LLAMA, form: rope, **trained}, {**LLAMA, form: {**rope, **trained}}
        assert {longest_in_vllm(config) for config in (outside, inside, {"text_config": inside})} == {512}
        assert longest_context(inside) == 2048
    assert longest_in_vllm({**LLAMA, form: {"rope_type": "yarn", "factor": 2.0, **trained}}) == 2048


@pytest.mark.parametrize(
    ("name", "speaks"),
    [
        ("BertModel", False),
        ("Qwen2Model", False),
        ("T5EncoderModel", False),
        ("BertForMaskedLM", False),
        ("GPT2LMHeadModel", True),
        ("ChatGLMModel", True),
        ("AquilaModel", True),
        ("Gemma3ForConditionalGeneration", True),
    ],
)
def test_a_class_without_an_output_layer_generates_nothing(tmp_path: Path, name: str, speaks: bool) -> None:
    checkpoint = embedding(tmp_path, "wte.weight", {"architectures": [name]})
    if speaks:
        check_generates(checkpoint)
        return
    with pytest.raises(CheckpointError, match=f"architectures names {name}: such a model generates no text"):
        check_generates(checkpoint)


def test_an_encoder_with_its_decoder_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    halves = {"architectures": ["BartForConditionalGeneration"], "is_encoder_decoder": True}
    with pytest.raises(CheckpointError, match=r"config\.json: the model is an encoder and a decoder"):
        check_generates(embedding(tmp_path, "wte.weight", halves))
    check_generates(embedding(tmp_path, "wte.weight", {**halves, "is_encoder_decoder": False}))
