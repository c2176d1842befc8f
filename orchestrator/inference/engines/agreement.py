"""Whether an engine computes an expert as transformers does, or whether what differs is more than rounding.

In 16 bits a small mistake hides in the rounding: half of a rotary base moved log-probabilities by no more than bfloat16
did (benchmarks/results/canary_bounds.md). So a model is compared in float32, where nothing is rounded. In 16 bits,
which is what the engine answers in, it may be off by what rounding does to transformers itself, a few times over: for
kernels that are wrong in 16 bits alone, and for models too large for float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.errors import CollegiumError
from orchestrator.inference.engines.canary import OTHER_ENGINE, Canary, difference, largest_gap
from orchestrator.inference.engines.reference import Reference
from orchestrator.inference.expert import Expert

COMPARED_TOKENS = 8
"""Greedy tokens that are compared."""
EXACT = 0.003
"""Largest difference of log-probabilities between two implementations in float32. Of right models SmolLM2 with its 30
layers shows 0.00002, a few whose activations are approximated 0.0005 to 0.002."""
TIMES = 3
"""In 16 bits an engine may be off by so many times what rounding does to transformers,"""
STEP = 0.05
"""and always by so much: two steps of bfloat16 at the size of usual logits."""
MAX_ROUNDING = 3.0
"""Beyond that nothing is believed to be rounding."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison found."""

    why: str = ""
    """How the engine differs; empty: it does not."""
    exact: bool = False
    """The two were compared in float32."""
    inexact: str = ""
    """Why they were not."""


def in_float32(expert: Expert) -> Expert:
    """The expert as another one, computed in float32."""
    return replace(
        expert, dtype="float32", fingerprint=f"{expert.fingerprint} float32", shape=f"{expert.shape} float32"
    )


def agreement(
    expert: Expert, canary: Canary, reference: Reference, exact: Callable[[Expert], Canary], known: bool = False
) -> Agreement:
    """Compare the engine's canary with transformers'. `exact`: what the engine says of an expert in float32, where that
    can be had; it may raise `CollegiumError`. `known`: another expert of the same shape agreed in float32, so that this
    one is only asked for if rounding does not explain its own canary."""
    if expert.dtype == "float32":
        return Agreement(_exactly(reference, canary), True)
    if known and not too_far(reference, canary):
        return Agreement()
    if reference.exact is None:
        return Agreement(too_far(reference, canary), inexact=reference.inexact)
    try:
        found = exact(in_float32(expert))
    except CollegiumError as error:
        return Agreement(too_far(reference, canary), inexact=str(error))
    return Agreement(_exactly(reference, found) or too_far(reference, canary, OTHER_ENGINE), True)


def _exactly(reference: Reference, found: Canary) -> str:
    if reference.exact is None:
        return f"transformers cannot compute it in float32: {reference.inexact}"
    why = difference(reference.exact, found, EXACT) if found else "no canary"
    return f"in float32, where nothing is rounded: {why}" if why else ""


def too_far(reference: Reference, canary: Canary, always: float = STEP) -> str:
    """Why rounding to 16 bits does not explain the canary; empty: it does. `always`: a difference that it explains
    whatever it does to transformers."""
    if reference.exact is None:  # what rounding does is not known
        return difference(reference.rounded, canary, OTHER_ENGINE) or ""
    rounding = largest_gap(reference.exact, reference.rounded)
    apart = min(largest_gap(reference.exact, canary), largest_gap(reference.rounded, canary))
    if apart <= min(MAX_ROUNDING, max(always, TIMES * rounding)):
        return ""
    if apart == float("inf"):
        return difference(reference.rounded, canary) or "other tokens are likely"
    return f"rounding moves log-probabilities by {rounding:.3f}, the engine is off by {apart:.3f}"
