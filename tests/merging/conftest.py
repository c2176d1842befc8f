"""Families of small Llamas, and one small model of each of three architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_llamas import random_tensors, write_model

SHAPE = {"vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small random models: llama, qwen2 (tied), gpt2. Nobody writes to them."""
    import torch
    import transformers as t

    torch.manual_seed(0)
    more = {"intermediate_size": 24, "num_key_value_heads": 1, "max_position_embeddings": 32}
    made = {
        "llama": t.LlamaForCausalLM(t.LlamaConfig(**SHAPE, **more)),
        "qwen2": t.Qwen2ForCausalLM(t.Qwen2Config(**SHAPE, **more, tie_word_embeddings=True)),
        "gpt2": t.GPT2LMHeadModel(t.GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=32)),
    }
    folder = tmp_path_factory.mktemp("bases")
    for name, model in made.items():
        model.save_pretrained(folder / name)
    return {name: folder / name for name in made}


@pytest.fixture
def family(tmp_path: Path) -> Callable[[int], list[Path]]:
    """family(n): a base and n fine-tunes of it."""

    def make(count: int) -> list[Path]:
        return [write_model(tmp_path / f"m{seed}", random_tensors(seed)) for seed in range(count + 1)]

    return make
