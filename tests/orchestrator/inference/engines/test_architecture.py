"""Which experts share an engine, and which config.json is believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from merging.checkpoint import CheckpointError
from orchestrator.inference.engines.architecture import forward_config, longest_context
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.engines.tokenizer_files import mapping_digest, tokenizer_digest
from orchestrator.inference.expert import Expert, Weights
from tests.orchestrator.inference.engines.tiny import changed_config

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


def blend_of(folder: Path) -> Any:
    return Sources().blend(Expert("odd", "odd", "odd", weights=Weights(folder)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**9}, r"config\.json: num_hidden_layers is '1000000000'"),
        ({"hidden_size": "x"}, r"config\.json: hidden_size is 'x'"),
        ({"hidden_size": 10**9}, "hidden_size is '1000000000'"),
        ({"num_attention_heads": -3}, "num_attention_heads is '-3'"),
        ({"vocab_size": 2.5}, r"vocab_size is '2\.5'"),
        ({"num_experts": 10**7}, "num_experts is '10000000'"),
        ({"model_type": None, "architectures": None}, "neither model_type nor architectures"),
    ],
)
def test_sizes_that_the_files_cannot_have_are_refused(
    model_folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    from orchestrator.errors import ExpertError

    with pytest.raises(ExpertError, match=said):
        blend_of(changed_config(model_folder, tmp_path / "odd", **change))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"])
@pytest.mark.parametrize("what", ["pipe", "device", "dead link"])
def test_what_is_no_file_is_refused_and_not_waited_for(
    model_folder: Path, tmp_path: Path, name: str, what: str
) -> None:
    from orchestrator.errors import ExpertError

    folder = changed_config(model_folder, tmp_path / "odd")
    (folder / name).unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero" if what == "device" else "/nowhere")
    with pytest.raises(ExpertError, match=f"{name}: not a regular file"):
        blend_of(folder)


def test_a_tokenizer_saved_again_maps_alike_and_one_with_other_settings_is_another(
    model_folder: Path, tmp_path: Path
) -> None:
    import json

    again = changed_config(model_folder, tmp_path / "again")
    stored = json.loads((again / "tokenizer.json").read_text())
    (again / "tokenizer.json").write_text(json.dumps(stored, indent=1, sort_keys=True))
    assert mapping_digest(again) == mapping_digest(model_folder)
    begins = changed_config(model_folder, tmp_path / "bos", "tokenizer_config.json", add_bos_token=True)
    assert mapping_digest(begins) == mapping_digest(model_folder)
    assert tokenizer_digest(begins) != tokenizer_digest(model_folder)
    stored["model"]["vocab"]["<a-new-one>"] = len(stored["model"]["vocab"])
    (again / "tokenizer.json").write_text(json.dumps(stored))
    assert mapping_digest(again) != mapping_digest(model_folder)


def test_a_tokenizer_in_another_file_is_a_tokenizer_too(model_folder: Path, tmp_path: Path) -> None:
    one, two = (changed_config(model_folder, tmp_path / name) for name in ("one", "two"))
    for folder, text in ((one, "{}"), (two, '{"more": 1}')):
        (folder / "tokenizer.json").unlink()
        (folder / "tekken.json").write_text(text)
    assert mapping_digest(one) != mapping_digest(two)


def test_an_empty_tokenizer_is_refused_by_file(model_folder: Path, tmp_path: Path) -> None:
    folder = changed_config(model_folder, tmp_path / "odd")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        mapping_digest(folder)
