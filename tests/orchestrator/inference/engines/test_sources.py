"""From experts to tensors: files that cannot hold what they say are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.inference.engines.architecture import as_transformers
from orchestrator.inference.engines.sources import Sources, no_number
from orchestrator.inference.expert import Expert, Weights
from tests.orchestrator.inference.engines.conftest import make_adapter
from tests.orchestrator.inference.engines.tiny import changed_config


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
        ({"vocab_size": 49_000}, r"vocab_size is 49000, but model\.embed_tokens\.weight has 49152 rows"),
        ({"vocab_size": 49_200}, r"vocab_size is 49200, but model\.embed_tokens\.weight has 49152 rows"),
        ({"num_experts": 10**7}, "num_experts is '10000000'"),
        ({"model_type": None, "architectures": None}, "neither model_type nor architectures"),
        ({"architectures": ["GemmaForCausalLM"]}, "names GemmaForCausalLM, but model_type 'llama' is LlamaForCausalLM"),
        ({"model_type": "gemma"}, "names LlamaForCausalLM, but model_type 'gemma' is GemmaForCausalLM"),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 64}, "names MistralForCausalLM, but"),
        ({"model_type": "mistral", "sliding_window": 64}, "names LlamaForCausalLM, but model_type 'mistral'"),
        ({"model_type": "mistral"}, "names LlamaForCausalLM, but model_type 'mistral'"),  # its own window is of 4,096
        ({"architectures": ["LlamaForSequenceClassification"]}, "such a model generates no text"),
        ({"architectures": ["Qwen2ForProcessRewardModel"]}, "such a model generates no text"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "'t5' is an encoder and a decoder"),
        ({"architectures": "LlamaForCausalLM"}, "architectures is .*not a list of names"),
    ],
)
def test_a_config_that_the_files_cannot_have_is_refused(
    model_folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    from orchestrator.errors import ExpertError

    with pytest.raises(ExpertError, match=said):
        blend_of(changed_config(model_folder, tmp_path / "odd", **change))


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["MistralForCausalLM"], "sliding_window": 8192},
        {"architectures": ["MistralForCausalLM"], "max_position_embeddings": 4096},
        {"model_type": "mistral", "max_position_embeddings": 4096},
        {"model_type": "mistral", "sliding_window": 8192},
    ],
    ids=str,
)
def test_a_class_that_computes_as_that_of_the_type_is_taken_and_named_to_vllm(
    model_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    blend = blend_of(changed_config(model_folder, tmp_path / "twin", **change))
    kind = blend.checkpoint.config["model_type"]
    assert as_transformers(blend.checkpoint.config)["architectures"] == [f"{kind.capitalize()}ForCausalLM"]


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


def test_a_quantisation_that_nobody_can_decode_is_refused_by_name(model_folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from orchestrator.errors import ExpertError

    folder = changed_config(model_folder, tmp_path / "odd", quantization_config={"quant_method": "hqq"})
    (folder / "model.safetensors").unlink()
    name = "model.layers.0.mlp.up_proj"
    save_file({f"{name}.weight": torch.zeros(256, 256, dtype=torch.uint8)}, folder / "model.safetensors")
    changed_config(folder, tmp_path / "small", num_hidden_layers=1, num_attention_heads=None, vocab_size=None)
    with pytest.raises(ExpertError, match=r"expert 'odd': .*'model.layers.0.mlp.up_proj.weight'.*quantised \(hqq\)"):
        Sources(decode=True).blend(Expert("odd", "odd", "odd", weights=Weights(tmp_path / "small")))


def small(folder: Path, **changes: Any) -> Path:
    import tiny_llama
    from safetensors.torch import load_file, save_file

    tiny_llama.write(folder)
    save_file({**load_file(folder / "model.safetensors"), **changes}, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_tensor_without_finite_numbers_is_named(tmp_path: Path) -> None:
    import torch

    name = "model.layers.1.mlp.down_proj.weight"
    expert = Expert("odd", "odd", "odd", weights=Weights(small(tmp_path / "m")))
    assert "it computes no finite numbers" in str(no_number(expert, Sources().blend(expert)))
    small(tmp_path / "nan", **{name: torch.full((48, 96), torch.nan, dtype=torch.bfloat16)})
    expert = Expert("odd", "odd", "odd", weights=Weights(tmp_path / "nan"))
    why = str(no_number(expert, Sources().blend(expert)))
    assert f"model.safetensors: tensor '{name}' holds NaN or infinite numbers" in why


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["model.layers.1.mlp.experts.3.w2.weight", "model.layers.0.moe.input_linear.weight"])
def test_an_expert_of_a_mixture_without_finite_numbers_is_refused(tmp_path: Path, name: str, bad: float) -> None:
    import torch

    from orchestrator.errors import ExpertError

    sources = Sources()
    shape = (8, 6) if "experts" in name else (4, 8, 6)
    good = Expert("good", "good", "moe", weights=Weights(small(tmp_path / "good", **{name: torch.ones(shape)})))
    sources.check_mixture(good, sources.blend(good))
    numbers = torch.ones(shape)
    numbers.view(-1)[29] = bad
    odd = Expert("odd", "odd", "moe", weights=Weights(small(tmp_path / "odd", **{name: numbers})))
    with pytest.raises(ExpertError, match=rf"expert 'odd': .*tensor '{name}' holds NaN or infinite numbers"):
        sources.check_mixture(odd, sources.blend(odd))
    dense = Expert("dense", "dense", "dense", weights=Weights(small(tmp_path / "dense")))
    sources.check_mixture(dense, sources.blend(dense))


def test_the_scales_of_packed_experts_are_looked_at(tmp_path: Path) -> None:
    """Of MXFP4 each scale is an exponent, and 255 is none; packed integers have no such value."""
    import torch

    from orchestrator.errors import ExpertError

    scales, blocks = (f"model.layers.0.mlp.experts.gate_up_proj_{what}" for what in ("scales", "blocks"))
    packed = {blocks: torch.full((4, 8, 6), 255, dtype=torch.uint8)}
    for value, good in ((127, True), (255, False)):
        exponents = torch.full((4, 8), 127, dtype=torch.uint8)
        exponents[2, 3] = value
        folder = small(tmp_path / str(value), **packed, **{scales: exponents})
        expert, sources = Expert("odd", f"{value}", "moe", weights=Weights(folder)), Sources()
        if good:
            sources.check_mixture(expert, sources.blend(expert))
            continue
        with pytest.raises(ExpertError, match=rf"expert 'odd': .*safetensors: tensor '{scales}' holds NaN"):
            sources.check_mixture(expert, sources.blend(expert))


def test_a_tied_output_layer_beside_another_one_is_refused_and_beside_its_copy_not(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from orchestrator.errors import ExpertError

    embedding = load_file(small(tmp_path / "m") / "model.safetensors")["model.embed_tokens.weight"]
    assert blend_of(small(tmp_path / "copy", **{"lm_head.weight": embedding.clone()}))
    other = embedding.clone()
    other[3, 5] += 1
    with pytest.raises(ExpertError, match=r"tie_word_embeddings, but lm_head\.weight is not model\.embed_tokens"):
        blend_of(small(tmp_path / "other", **{"lm_head.weight": other}))
    changed_config(tmp_path / "other", tmp_path / "untied", tie_word_embeddings=False)
    assert blend_of(tmp_path / "untied")


def test_of_a_sum_without_finite_numbers_the_file_that_spoils_it_is_named(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    base = small(tmp_path / "m")
    adapter = make_adapter(tmp_path / "adapter", base, seed=1)
    expert = Expert("odd", "odd", "odd", weights=Weights(base, adapter))
    assert "it computes no finite numbers" in str(no_number(expert, Sources().blend(expert)))
    tensors = load_file(adapter / "adapter_model.safetensors")
    name = next(name for name in tensors if "layers.1.mlp.down_proj.lora_B" in name)
    save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, adapter / "adapter_model.safetensors")
    why = str(no_number(expert, Sources().blend(expert)))
    assert "adapter_model.safetensors: tensor 'model.layers.1.mlp.down_proj.weight' holds NaN" in why
