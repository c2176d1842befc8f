"""A second look at an expert whose canary is not transformers': whether rounding to 16 bits explains the difference.

Processors without instructions for bfloat16 round in other places, and the sums of some models are long. So both
implementations compute the expert once more in float32, where nothing is left to explain: there they must agree. And in
16 bits the engine may be off by no more than what rounding does to transformers itself, a few times over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.errors import CollegiumError
from orchestrator.inference.engines.canary import OTHER_ENGINE, Canary, difference, largest_gap
from orchestrator.inference.engines.engine import Engine, HasCanary
from orchestrator.inference.engines.reference import NoReference, references
from orchestrator.inference.expert import Expert

EXACT = 0.1
"""Largest difference of log-probabilities between two implementations in float32."""
TIMES = 3
"""The engine may be off by so many times what rounding does to transformers."""
MAX_ROUNDING = 3.0
"""Beyond that nothing is believed to be rounding."""


def not_rounding(expert: Expert, canary: Canary, reference: Canary, make_engine: Callable[[], Engine]) -> str | None:
    """Why rounding does not explain that the engine's canary differs from the reference; None: it does.

    Starts an engine of its own, in float32, where the first two conditions hold."""
    if expert.dtype == "float32":
        return "both computed in float32"
    (exact,) = references([expert], len(reference), dtype="float32")
    if isinstance(exact, NoReference):
        return f"transformers cannot compute it in float32: {exact}"
    rounding = largest_gap(exact, reference)
    apart = min(largest_gap(exact, canary), largest_gap(reference, canary))
    if apart > min(MAX_ROUNDING, max(OTHER_ENGINE, TIMES * rounding)):
        return f"rounding moves log-probabilities by {rounding:.3f}, the engine is off by {apart:.3f}"
    engine = make_engine()
    try:
        engine.load(
            replace(
                expert, dtype="float32", fingerprint=f"{expert.fingerprint} float32", shape=f"{expert.shape} float32"
            )
        )
        found = engine.canary() if isinstance(engine, HasCanary) else []
        why = difference(exact, found, EXACT) if found else "no canary"
        return why and f"in float32, where nothing is rounded: {why}"
    except CollegiumError as error:
        return f"the engine cannot compute it in float32: {error}"
    finally:
        engine.close()
