"""The number of a model's heads of keys, where its config.json names one that its class never reads.

vLLM takes it of models of any type, under five names. A GPT-NeoX with a `num_key_value_heads` below its heads then
answers with other tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KEY_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups")
"""Where vLLM looks; the first that is set counts."""


def stray_key_heads(config: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Of those keys, the ones that are set and that the type's code never reads, with the number that is right.
    `code`: transformers' code of the type's models and of their configuration. Imports transformers."""
    there = [key for key in KEY_HEADS if config.get(key) is not None]
    stray = [key for key in there if code and not _reads(code, key)]
    own = [config[key] for key in there if key not in stray]
    heads = own[0] if own else _heads(config) if stray else None
    return {} if heads is None else dict.fromkeys(stray, heads)


def _reads(code: str, key: str) -> bool:
    """The code names the key as one of a configuration, or a configuration declares or computes it."""
    return bool(
        re.search(rf"""config\.{key}\b|["']{key}["']|^    {key}:|^        self\.{key} = """, code, re.MULTILINE)
    )


def _heads(config: Mapping[str, Any]) -> Any:
    """The number of attention heads, under whatever name the type gives it."""
    from transformers import AutoConfig

    try:
        given = {key: value for key, value in config.items() if key != "model_type"}
        return AutoConfig.for_model(str(config["model_type"]), **given).num_attention_heads
    except Exception:  # whatever a strange config leads transformers to
        return None
