"""How a model asks to be sampled, and what ends its replies: generation_config.json, held to what it can mean."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from merging.checkpoint import json_object
from orchestrator.errors import ExpertError
from orchestrator.expert_config import ExpertConfig
from orchestrator.inference.expert import SamplingDefaults

FILE = "generation_config.json"
BOUNDS = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 2**31),
    "repetition_penalty": (0.0, 10.0),
}
"""Least and greatest value; of those in `ABOVE` the least itself is none."""
WHOLE = ("top_k",)
ABOVE = ("top_p", "repetition_penalty")


def sampling_defaults(folder: Path, config: ExpertConfig) -> SamplingDefaults:
    """The model's own sampling, where it says that it is to be sampled; the configuration's word goes before. Raises
    `ExpertError` for a value that no sampling can have, unless the configuration says another."""
    stored = json_object(folder / FILE) if (folder / FILE).exists() else {}
    own = config.sampling
    found: dict[str, Any] = asdict(SamplingDefaults())
    if _sampled(folder, stored) and not own.greedy:
        for name in BOUNDS:
            if getattr(own, name) is None and stored.get(name) is not None:
                found[name] = _number(folder, name, stored[name])
    found |= {name: getattr(own, name) for name in found if getattr(own, name) is not None}
    return SamplingDefaults(**{**found, **({"temperature": 0.0} if own.greedy else {})})


def check_ends(folder: Path) -> None:
    """Raises `ExpertError` where what ends a reply is no token id, nor a list of them: such a model would never end."""
    for name in ("config.json", FILE):
        ends = json_object(folder / name).get("eos_token_id") if (folder / name).exists() else None
        for end in ends if isinstance(ends, list) else [ends]:
            if end is not None and (isinstance(end, bool) or not isinstance(end, int)):
                raise ExpertError(
                    f"{folder / name}: eos_token_id: must be a token's number or a list of them: {end!r:.80}"
                )


def _sampled(folder: Path, stored: dict[str, Any]) -> bool:
    wanted = stored.get("do_sample")
    if wanted is not None and not isinstance(wanted, bool):
        raise ExpertError(f"{folder / FILE}: do_sample: must be true or false, is {wanted!r:.80}")
    return wanted is True


def _number(folder: Path, name: str, value: Any) -> Any:
    least, greatest = BOUNDS[name]
    kinds = (int,) if name in WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= greatest:
        good = False
    else:
        good = value > least or name not in ABOVE
    if not good:
        kind = "a whole number" if name in WHOLE else "a number"
        over = "above" if name in ABOVE else "from"
        raise ExpertError(
            f"{folder / FILE}: {name}: must be {kind} {over} {least:g} to {greatest:g}, is {value!r:.80}; "
            f"sampling.{name} of the expert says another"
        )
    return value
