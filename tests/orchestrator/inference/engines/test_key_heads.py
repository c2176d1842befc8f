"""A number of heads of keys that a type does not have is that of its heads: vLLM reads it of models of any type."""

from __future__ import annotations

from typing import Any

from orchestrator.inference.engines.architecture import as_transformers
from orchestrator.inference.engines.key_heads import KEY_HEADS, stray_key_heads

HEADS: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2}


def test_what_a_type_never_reads_becomes_what_it_computes_with() -> None:
    neox = {**HEADS, "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox"}
    assert as_transformers(neox) == {"num_key_value_heads": 4}
    gpt2 = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_head": 4, "num_key_value_heads": 2}
    assert as_transformers(gpt2) == {"num_key_value_heads": 4}
    llama = {**HEADS, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    assert as_transformers(llama) == {}
    assert as_transformers({**llama, "num_kv_heads": 1}) == {"num_kv_heads": 2}
    assert stray_key_heads({**HEADS, "model_type": "somebodys_own"}, "") == {}


def test_no_type_is_told_otherwise_than_its_own_configuration_writes() -> None:
    """Else a model that transformers itself saved would compute otherwise."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

    looked_at = 0
    for kind, name in CLASSES.items():
        try:
            config = AutoConfig.for_model(kind).to_dict()
        except Exception:  # a type that needs arguments
            continue
        looked_at += any(config.get(key) is not None for key in KEY_HEADS)
        assert as_transformers({**config, "model_type": kind, "architectures": [name]}) == {}, kind
    assert looked_at > 50
