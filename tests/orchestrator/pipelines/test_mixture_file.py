"""A mergekit-moe file becomes a mixture, or is refused by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from merging.settings import RecipeError
from orchestrator.pipelines.mixture_file import mixture_from_file

RNG = np.random.default_rng(0)
GATE = "model.layers.0.block_sparse_moe.gate.weight"
WORDS = ("<unk>", "<s>", *(f"w{number}" for number in range(2, 8)))


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
    drawn = made[GATE]
    np.testing.assert_array_equal(drawn, np.random.default_rng(3).standard_normal((1, 2, 8), dtype="f4")[0])
    file.write_text(file.read_text().replace("random", "uniform_random"))
    mixture_from_file(file, tmp_path / "even")
    even = load_file(tmp_path / "even" / "model.safetensors")[GATE]
    assert 0.1 < np.abs(even).max() <= 8**-0.5


def words(folder: Path) -> None:
    model = {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(WORDS)}, "unk_token": WORDS[0]}
    data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def test_gates_of_cheap_embed_are_mergekits(tmp_path: Path) -> None:
    base, a, b = (llama(tmp_path / name) for name in ("base", "a", "b"))
    words(base)
    experts = (
        f"experts:\n- {{source_model: {a}, positive_prompts: ['w2 w3', w4], negative_prompts: [w5]}}\n"
        f"- {{source_model: {b}, positive_prompts: ['']}}\n- {{source_model: {b}, positive_prompts: ['']}}\n"
    )
    (tmp_path / "moe.yml").write_text(f"base_model: {base}\ngate_mode: cheap_embed\n{experts}")
    result = mixture_from_file(tmp_path / "moe.yml", tmp_path / "out")
    assert any("two experts have the same prompts" in note for note in result.notes)
    rows = load_file(base / "model.safetensors")["model.embed_tokens.weight"].astype("f8")
    found = load_file(tmp_path / "out" / "model.safetensors")[GATE]

    def unit(row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return row / np.linalg.norm(row)

    # Each prompt begins with <s>, number 1.
    positive, negative = unit(2 * rows[1] + rows[2] + rows[3] + rows[4]), unit(rows[1] + rows[5])
    np.testing.assert_allclose(found, [unit(positive - negative), *[unit(rows[1])] * 2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("gate_mode: best\n", "none of hidden, hidden_last, hidden_avg, cheap_embed, random, uniform_random"),
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
