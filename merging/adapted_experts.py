"""Adapters of all experts of a layer at once (PEFT's `target_parameters`), over a base that stores each apart.

A holds (experts x rank, in), B (out, rank x experts): of gate and up in one, or of down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from merging.checkpoint import CheckpointError, TensorInfo
from merging.naming import LayerName, common_name

SINCE = (0, 21)
"""PEFT before this version took in for out; where both are as long, the shapes do not tell."""
_KINDS = {"w1": "gate", "w3": "up", "w2": "down"} | {f"{kind}_proj": kind for kind in ("gate", "up", "down")}
_EXPERT = re.compile(r"(?:\w+\.)*experts\.(\d+)\.(\w+)\.weight")


@dataclass(frozen=True, slots=True)
class ExpertSlice:
    """One expert's share of A and B: rows [first, last) of its B."""

    expert: int
    experts: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ExpertAdapter:
    """Each expert's share, by the base's name of its tensor."""

    parameter: str
    """What PEFT calls the tensor of all experts."""
    rank: int
    shares: Mapping[str, ExpertSlice]


def expert_shares(
    module: str, down: TensorInfo, up: TensorInfo, base: Mapping[str, TensorInfo], names: Mapping[str, str], peft: str
) -> ExpertAdapter:
    """Of the experts of `module`; `names`: the base's, by common name; `peft`: the version that wrote the adapter.

    Raises `CheckpointError` where the base stores no expert apart, or A (`down`) and B (`up`) do not fit.
    """
    place = LayerName.of(common_name(f"{module}.0.w"))
    start = f"{place.head}{place.number}." if place else "-"
    found: dict[tuple[int, str], str] = {}
    for name, own in names.items():
        if name.startswith(start) and (match := _EXPERT.fullmatch(name, len(start))):
            found[int(match[1]), _KINDS.get(match[2], match[2])] = own
    count = len({number for number, _ in found})
    if set(found) != {(n, kind) for n in range(count) for kind in ("gate", "up", "down")} or not count:
        raise CheckpointError(
            f"{down.file}: tensor {down.name!r}: an adapter of all experts at once (target_parameters) over a base "
            "that does not store each one's gate, up and down apart is not supported"
        )
    inner, hidden = base[found[0, "gate"]].shape
    fused, rank = (up.shape[0], down.shape[1]) == (2 * inner, hidden), down.shape[0] // count
    known = fused or (up.shape[0], down.shape[1]) == (hidden, inner)
    if not known or (2 * inner == hidden and _version(peft) < SINCE) or down.shape[0] % count:
        raise CheckpointError(
            f"{down.file}: tensor {down.name!r} {list(down.shape)} with {list(up.shape)} does not fit {count} experts "
            f"of {inner} x {hidden} (PEFT {peft or 'of an unstated version'})"
        )
    spans = {"gate": (0, inner), "up": (inner, 2 * inner)} if fused else {"down": (0, hidden)}
    shares = {found[n, kind]: ExpertSlice(n, count, *span) for n in range(count) for kind, span in spans.items()}
    return ExpertAdapter("gate_up_proj" if fused else "down_proj", rank, shares)


def _version(peft: str) -> tuple[int, ...]:
    return tuple(int(part) for part in peft.split(".")[:2] if part.isdigit())
