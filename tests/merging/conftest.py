"""Families of small Llamas, and one small model of each of five architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_llamas import random_tensors, write_model

SHAPE = {"vocab_size": 24, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "pad_token_id": 0}


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small random models: llama, qwen2, gpt2, t5, whisper (all but the first tied). Nobody writes to them."""
    import torch
    import transformers as t

    torch.manual_seed(0)
    more = {"intermediate_size": 24, "num_key_value_heads": 1, "max_position_embeddings": 32}
    made = {
        "llama": t.LlamaForCausalLM(t.LlamaConfig(**SHAPE, **more)),
        "qwen2": t.Qwen2ForCausalLM(t.Qwen2Config(**SHAPE, **more, tie_word_embeddings=True)),
        "gpt2": t.GPT2LMHeadModel(t.GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=32)),
    }
    less = {"vocab_size": 24, "d_model": 16, "pad_token_id": 0, "decoder_start_token_id": 0}
    made["t5"] = t.T5ForConditionalGeneration(t.T5Config(**less, d_kv=8, d_ff=24, num_layers=2, num_heads=2))
    layers = {f"{tower}_{what}": 2 for tower in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    rest = {"max_source_positions": 8, "max_target_positions": 8, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "suppress_tokens": None, "begin_suppress_tokens": None}
    made["whisper"] = t.WhisperForConditionalGeneration(t.WhisperConfig(**less, **layers, **rest, **tokens))
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
