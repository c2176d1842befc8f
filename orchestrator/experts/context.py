"""How long a prompt and its reply may be together, where the configuration does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.inference.engines.architecture import longest_context

UNBOUNDED = 32768
"""Longest context that is taken without being asked for."""
CACHE_GIB = 1.0
"""An engine's KV cache where workers.kv_gib does not say."""
MIN_CONTEXT = 512


def default_context(config: Mapping[str, Any], wanted: int | None, kv_gib: float | None) -> int:
    """What was asked for, or what the model was made for as far as one prompt of it fits the KV cache; at most what
    the model was made for."""
    longest = longest_context(config)
    if wanted is not None:
        return min(wanted, longest)
    room = int((kv_gib or CACHE_GIB) * 2**30 * 0.9 / cache_bytes(config))
    return max(min(longest, MIN_CONTEXT), min(longest, UNBOUNDED, room // 256 * 256))


def cache_bytes(config: Mapping[str, Any]) -> int:
    """Bytes of KV cache that one token takes, 16 bits a number."""
    text = config.get("text_config")
    part = text if isinstance(text, Mapping) else config

    def number(*names: str, default: int) -> int:
        found = next((part[name] for name in names if isinstance(part.get(name), int)), default)
        return max(1, int(found))

    layers = number("num_hidden_layers", "n_layer", default=32)
    if isinstance(part.get("kv_lora_rank"), int):  # latent attention keeps one compressed vector
        return 2 * layers * (number("kv_lora_rank", default=512) + number("qk_rope_head_dim", default=64))
    width = number("hidden_size", "n_embd", "d_model", default=4096)
    heads = number("num_attention_heads", "n_head", default=32)
    size = number("head_dim", default=max(1, width // heads))
    return 4 * layers * number("num_key_value_heads", "num_kv_heads", default=heads) * size
