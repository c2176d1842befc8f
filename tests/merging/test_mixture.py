"""FFN-level mixtures against the dense models they are made of, in transformers and in vLLM."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from merging.checkpoint import Checkpoint, CheckpointError
from merging.gates import LinearGates, MixtureError
from merging.mixture import Mixture
from merging.stream import Blend, linear, plain
from merging.tokenizer import copy_files

LAYERS, HIDDEN = 3, 128
IDS = torch.tensor([[5, 17, 900, 3, 44, 7]])


def model(folder: Path, seed: int, **more: Any) -> Blend:
    torch.manual_seed(seed)
    shape = {"hidden_size": HIDDEN, "intermediate_size": 160, "num_hidden_layers": LAYERS, "vocab_size": 1000}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 256}
    config = LlamaConfig(**{**shape, **heads, "tie_word_embeddings": True, **more})
    config.architectures = ["LlamaForCausalLM"]
    LlamaForCausalLM(config).save_pretrained(folder)
    return plain((Checkpoint(folder), None))


@pytest.fixture
def models(tmp_path: Path) -> list[Blend]:
    return [model(tmp_path / f"m{seed}", seed) for seed in range(3)]


def gates(experts: int) -> LinearGates:
    return LinearGates(np.random.default_rng(0).standard_normal((LAYERS, experts, HIDDEN)).astype(np.float32))


def logits(folder: Path) -> torch.Tensor:
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        found: torch.Tensor = network(IDS).logits
    return found


def test_identical_experts_are_the_dense_model(models: list[Blend], tmp_path: Path) -> None:
    Mixture(models[0], (models[0],) * 3, gates(3)).write(tmp_path / "moe")
    assert (logits(tmp_path / "moe") - logits(tmp_path / "m0")).abs().max() < 1e-3


def test_a_sliding_window_stays(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shape = {"hidden_size": HIDDEN, "intermediate_size": 160, "num_hidden_layers": LAYERS, "vocab_size": 1000}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "sliding_window": 2}
    torch.manual_seed(0)
    MistralForCausalLM(MistralConfig(**shape, **heads)).save_pretrained(folder)
    dense = plain((Checkpoint(folder), None))
    Mixture(dense, (dense, dense), gates(2)).write(tmp_path / "moe")
    assert (logits(tmp_path / "moe") - logits(folder)).abs().max() < 1e-3


def test_experts_differ_and_the_gate_chooses(models: list[Blend], tmp_path: Path) -> None:
    dense = linear([(blend.checkpoint, None) for blend in models[:2]], [0.5, 0.5])
    strong = gates(2).rows
    for place, sign in enumerate((1, -1)):
        chosen = np.zeros_like(strong)
        # A gate that always says the same: both experts' rows are opposite, one expert a token.
        chosen[:, 0], chosen[:, 1] = sign * strong[:, 0], -sign * strong[:, 0]
        Mixture(dense, tuple(models[:2]), LinearGates(chosen), per_token=1).write(tmp_path / f"moe{place}")
    one, other = (logits(tmp_path / f"moe{place}") for place in (0, 1))
    assert (one - other).abs().max() > 1e-3
    state = AutoModelForCausalLM.from_pretrained(tmp_path / "moe0", dtype=torch.float32).state_dict()
    merged = (
        models[0].tensor("model.layers.1.self_attn.q_proj.weight")
        + models[1].tensor("model.layers.1.self_attn.q_proj.weight")
    ) / 2
    assert torch.allclose(state["model.layers.1.self_attn.q_proj.weight"], merged, atol=1e-6)


def test_dense_layers_are_the_dense_models_own(models: list[Blend], tmp_path: Path) -> None:
    Mixture(models[0], tuple(models), gates(3), dense_layers=LAYERS).write(tmp_path / "hybrid")
    assert (logits(tmp_path / "hybrid") - logits(tmp_path / "m0")).abs().max() < 1e-3
    Mixture(models[0], tuple(models), gates(3), dense_layers=1).write(tmp_path / "part")
    assert (logits(tmp_path / "part") - logits(tmp_path / "m0")).abs().max() > 1e-3


def test_what_cannot_be_mixed_is_refused_by_name(models: list[Blend], tmp_path: Path) -> None:
    with pytest.raises(MixtureError, match=r"want finite \[layers, experts, hidden\]"):
        Mixture(models[0], tuple(models), gates(2))
    with pytest.raises(MixtureError, match="per_token is 4, with 3"):
        Mixture(models[0], tuple(models), gates(3), per_token=4)
    biased = model(tmp_path / "biased", 0, attention_bias=True)
    with pytest.raises(MixtureError, match="has no biases"):
        Mixture(biased, (biased, biased), gates(2))
    with pytest.raises(CheckpointError, match="shape"):
        Mixture(models[0], (models[0], model(tmp_path / "wide", 0, intermediate_size=96)), gates(2))
    wrong = model(tmp_path / "wrong", 0)
    wrong.checkpoint.config["num_hidden_layers"] = LAYERS - 1
    for dense, expert in ((models[0], wrong), (wrong, models[0])):
        with pytest.raises(MixtureError, match=r"wrong: .*num_hidden_layers 2, its tensors are of 3 layers"):
            Mixture(dense, (models[0], expert), gates(2))
    packed = model(tmp_path / "packed", 0)
    packed.checkpoint.config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    for dense, expert in ((models[0], packed), (packed, models[0])):
        with pytest.raises(MixtureError, match=r"packed: quantised \(bitsandbytes\): .* a merge of this model alone"):
            Mixture(dense, (models[0], expert), gates(2))
    config = tmp_path / "m2" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "gpt2"}))
    other = plain((Checkpoint(tmp_path / "m2"), None))
    with pytest.raises(MixtureError, match="'gpt2' is none of llama, mistral"):
        Mixture(other, (other, other), gates(2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_answers_with_it(tmp_path: Path) -> None:
    from orchestrator.config import validate
    from orchestrator.experts.demo import FULL, locate
    from orchestrator.experts.zoo import resolve
    from orchestrator.inference.engines.engine import EngineOptions
    from orchestrator.inference.engines.vllm import VLLMEngine
    from orchestrator.inference.request import Request, Sampling

    dense = model(tmp_path / "tiny", 0, vocab_size=49152, torch_dtype="bfloat16")
    copy_files(locate(FULL), tmp_path / "tiny")
    Mixture(dense, (dense, dense), gates(2)).write(tmp_path / "moe")
    data = {"experts": {"moe": {"model": str(tmp_path / "moe"), "context": 128}}, "state": str(tmp_path)}
    expert = resolve(validate(data, tmp_path / "c.yaml"))["moe"]
    engine = VLLMEngine(EngineOptions(batch=4, kv_gib=0.25))
    try:
        engine.load(expert)
        engine.add(Request("k", "moe", (("user", "Hello"),), Sampling(max_tokens=5)), expert)
        tokens, last = 0, None
        while last is None:
            for delta in engine.step():
                assert delta.error is None
                tokens += delta.tokens
                last = delta.finish_reason or last
    finally:
        engine.close()
    assert tokens == 5
