"""Tiny random checkpoints of several architectures, with a real tokenizer, for the engines that hold weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

COMMON: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    # A row more than its tokenizer has tokens, as fine-tunes with a padding token have them.
    "tied": ("llama", {"tie_word_embeddings": True, "vocab_size": 49153}),
    "mixture": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "transposed": ("gpt2", {"n_embd": 128, "n_layer": 2, "n_head": 4, "n_positions": 1024}),
    "state-space": (
        "mamba2",
        {"num_heads": 8, "head_dim": 32, "state_size": 16, "n_groups": 1, "expand": 2, "chunk_size": 64},
    ),
    "alibi": ("bloom", {"n_layer": 2, "n_head": 4}),
}


def tiny(folder: Path, tokenizer_from: Path, architecture: str, seed: int) -> Path:
    """A checkpoint folder. Weights are drawn wide enough that two seeds say different things."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, own = ARCHITECTURES[architecture]
    config = AutoConfig.for_model(kind, **{**COMMON, **own})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tokenizer_from / name, folder / name)
    return folder


def changed_config(folder: Path, target: Path, name: str = "config.json", **changes: Any) -> Path:
    """A copy of the folder, its big file linked, with keys of one JSON file changed (None: left out)."""
    target.mkdir(parents=True)
    for file in folder.iterdir():
        if file.suffix == ".safetensors":
            (target / file.name).symlink_to(file)
        elif file.is_file():
            shutil.copy(file, target / file.name)
    kept = json.loads((target / name).read_text()) if (target / name).exists() else {}
    kept = {key: value for key, value in {**kept, **changes}.items() if value is not None}
    (target / name).write_text(json.dumps(kept))
    return target
