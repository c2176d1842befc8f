"""How long a prompt and its reply may be, where the configuration does not say."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.experts.context import MIN_CONTEXT, UNBOUNDED, cache_bytes, default_context

LLAMA: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "max_position_embeddings": 131_072,
}  # fmt: skip


def test_a_token_takes_keys_and_values_of_every_layer() -> None:
    assert cache_bytes(LLAMA) == 2 * 2 * 32 * 8 * 128
    assert cache_bytes({"text_config": LLAMA}) == cache_bytes(LLAMA)
    assert cache_bytes({"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64}) == 2 * 61 * 576
    assert cache_bytes({"n_layer": 12, "n_embd": 768, "n_head": 12}) == 2 * 2 * 12 * 768


@pytest.mark.parametrize(
    ("config", "wanted", "kv_gib", "context"),
    [
        (LLAMA, 4_096, None, 4_096),
        (LLAMA, 200_000, None, 131_072),  # no more than it was made for
        (LLAMA, None, 1.0, 7_168),  # what nine tenths of the cache hold, in steps of 256
        (LLAMA, None, 100.0, UNBOUNDED),
        (LLAMA, None, 1e-3, MIN_CONTEXT),
        ({**LLAMA, "max_position_embeddings": 256}, None, 1e-3, 256),
    ],
)
def test_a_context_is_the_models_own_as_far_as_the_cache_holds_it(
    config: dict[str, Any], wanted: int | None, kv_gib: float | None, context: int
) -> None:
    assert default_context(config, wanted, kv_gib) == context
