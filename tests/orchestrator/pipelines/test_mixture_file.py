"""A mergekit-moe file becomes a mixture, or is refused by key."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from merging.settings import RecipeError
from orchestrator.pipelines.mixture_file import mixture_from_file

RNG = np.random.default_rng(0)


def llama(folder: Path) -> Path:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    }
    shapes = {f"self_attn.{part}_proj": (8, 8) for part in "qkvo"}
    shapes |= {"mlp.gate_proj": (12, 8), "mlp.up_proj": (12, 8), "mlp.down_proj": (8, 12)}
    tensors = {f"model.layers.0.{name}.weight": RNG.normal(size=shape) for name, shape in shapes.items()}
    for name in ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"):
        tensors[f"model.{name}.weight"] = np.ones(8)
    tensors |= {name: RNG.normal(size=(8, 8)) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    folder.mkdir()
    save_file({name: array.astype("f4") for name, array in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_moe_file_becomes_a_mixture(tmp_path: Path) -> None:
    base, a, b = (llama(tmp_path / name) for name in ("base", "a", "b"))
    file = tmp_path / "moe.yml"
    file.write_text(f"base_model: {base}\ngate_mode: random\nexperts: [{{source_model: {a}}}, {{source_model: {b}}}]\n")
    result = mixture_from_file(file, tmp_path / "out", seed=3)
    made, own = load_file(tmp_path / "out" / "model.safetensors"), load_file(b / "model.safetensors")
    assert result.tensors == len(made)
    second = made["model.layers.0.block_sparse_moe.experts.1.w1.weight"]
    np.testing.assert_array_equal(second, own["model.layers.0.mlp.gate_proj.weight"])
    gate = made["model.layers.0.block_sparse_moe.gate.weight"]
    np.testing.assert_allclose(np.linalg.norm(gate, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("gate_mode: best\n", "none of hidden, cheap_embed, random"),
        ("gate_mode: hidden\n", "wants positive_prompts"),
        ("gate_mode: random\nshared_experts: [{}]\n", "shared_experts"),
        ("gate_mode: random\nexperts_per_token: 3\n", "experts_per_token"),
        ("gate_mode: random\narchitecture: qwen\n", "only mixtral"),
    ],
)
def test_a_moe_file_that_cannot_be_done_is_refused_by_key(tmp_path: Path, more: str, message: str) -> None:
    a = llama(tmp_path / "a")
    file = tmp_path / "moe.yml"
    file.write_text(f"{more}base_model: {a}\nexperts: [{{source_model: {a}}}, {{source_model: {a}}}]\n")
    with pytest.raises(RecipeError, match=message):
        mixture_from_file(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
