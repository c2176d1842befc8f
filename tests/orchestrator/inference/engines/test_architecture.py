"""Which experts share an engine, and which config.json is believed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.inference.engines.architecture import as_transformers, forward_config, longest_context

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
