"""Random sources for a merge method, and the method run on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from small_llamas import numbers

from merging.checkpoint import Checkpoint
from merging.plan import Merge
from merging.recipe_file import parse

Array = np.ndarray[Any, Any]


Family = Callable[[int], list[Path]]


WEIGHTS = (0.5, 0.3, 0.4)


def stacked(folders: list[Path], name: str) -> Array:
    return np.stack([numbers(Checkpoint(folder).array(name)) for folder in folders])


def one_rounding(found: Array, wanted: Array, slack: float) -> None:
    """bfloat16 keeps 8 bits: half of a unit of the last place, and float32's own error."""
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(wanted), 1e-30))) - 7)
    assert (np.abs(found - wanted) <= 0.5001 * unit + slack).all()


def raw(
    method: str, folders: list[Path], based: bool, each: dict[str, Any] | None = None, **shared: Any
) -> dict[str, Any]:
    models = [
        {"model": str(folder), "parameters": {"weight": weight, **(each or {})}}
        for folder, weight in zip(folders[1:], WEIGHTS, strict=False)
    ]
    return {
        "merge_method": method,
        "models": models,
        "parameters": shared,
        **({"base_model": str(folders[0])} if based else {}),
    }


def merged(wanted: dict[str, Any], seed: int = 0) -> dict[str, Array]:
    return {name: numbers(bits) for name, bits in Merge(parse(wanted).seeded(seed))}


def voted(taus: Array, weights: Any, divide: bool) -> Array:
    weighed = taus * np.reshape(weights, (-1, *[1] * (taus.ndim - 1)))
    sign = np.where(weighed.sum(0) >= 0, 1, -1)
    agree = np.sign(weighed) == sign
    total = (agree * np.reshape(weights, (-1, *[1] * (taus.ndim - 1)))).sum(0)
    found: Array = (weighed * agree).sum(0)
    return found / np.where(total == 0, 1, total) if divide else found


def single(taus: Array) -> Array:
    """Task vectors are taken in float32: equal magnitudes there are equal."""
    return taus.astype("f4").astype("f8")
