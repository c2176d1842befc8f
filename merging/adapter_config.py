"""What a PEFT adapter's `adapter_config.json` says, and whether it is something that can be added to a weight.

Initialisations that change the base's weights (PiSSA, OLoRA, CorDA, LoftQ) leave an adapter that fits another base than
the one it names: peft repeats them on loading, and saves a plain adapter where it is asked to convert one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from merging.checkpoint import CheckpointError, json_object

UNKNOWN = (
    *("megatron_config", "layer_replication", "kasa_config", "velora_config", "arrow_config"),
    *("use_qalora", "use_bdlora", "alora_invocation_tokens", "monteclora_config"),
)
"""Variants whose result is something else than a changed weight, or a change that is not known here."""
CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
MAX_PATTERN = 256
_UNBOUNDED = re.compile(r"(?<!\\)[*+]|(?<!\\)\{\d*,\d*\}")
_REPEATED_GROUP = re.compile(r"\)[*+{]|\(\?(?!:)")


def lora_config(file: Path) -> dict[str, Any]:
    """The configuration, checked. Raises `CheckpointError` naming the key."""
    config = json_object(file)
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{file}: peft_type is {str(config.get('peft_type'))[:40]!r}, only LORA is supported")
    for key in UNKNOWN:
        if config.get(key):
            raise CheckpointError(f"{file}: {key} is not supported")
    start = str(config.get("init_lora_weights")).lower()
    if any(start.startswith(name) for name in CHANGES_BASE):
        raise CheckpointError(
            f"{file}: init_lora_weights is {start[:40]!r}, which changes the base's own weights; save it from peft "
            "path_initial_model_for_weight_conversion, which makes a plain adapter of it"
        )
    for key in ("r", "lora_alpha"):
        if not isinstance(config.get(key), int | float) or not 0 < config[key] < 2**31:
            raise CheckpointError(f"{file}: {key} must be a positive number, not {str(config.get(key))[:40]}")
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict):
            raise CheckpointError(f"{file}: {key} must map module names to numbers")
        for pattern, value in patterns.items():
            _check_pattern(file, key, pattern)
            if not isinstance(value, int | float) or not 0 < value < 2**31:
                raise CheckpointError(f"{file}: {key} {pattern[:80]!r} must be a positive number")
    return config


def value_for(patterns: dict[str, float] | None, module: str, default: float) -> float:
    """The value for `module`: of the first pattern that matches its last names (all of them, after ^), as in peft."""
    for pattern, value in (patterns or {}).items():
        whole = pattern.startswith("^")
        if re.fullmatch(pattern if whole else rf"(?:.*\.)?(?:{pattern})", module):
            return float(value)
    return float(default)


def _check_pattern(file: Path, key: str, pattern: str) -> None:
    """Patterns are regular expressions from strangers: those that could run for ever are refused."""
    slow = len(pattern) > MAX_PATTERN or len(_UNBOUNDED.findall(pattern)) > 3 or _REPEATED_GROUP.search(pattern)
    try:
        re.compile(pattern)
    except re.error as error:
        raise CheckpointError(f"{file}: {key} {pattern[:80]!r} is no regular expression: {error}") from None
    if slow:
        raise CheckpointError(f"{file}: {key} {pattern[:80]!r} is too complex a pattern; name the modules")
