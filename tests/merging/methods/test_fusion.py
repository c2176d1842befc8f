"""Arcee's fusion against its formula."""

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


def test_arcee_fusion_is_its_formula(family: Family) -> None:
    folders = family(1)
    for name, values in merged(raw("arcee_fusion", folders, True)).items():
        base, model = (stacked([folder], name)[0] for folder in folders)
        ours, theirs = (softmax(part.reshape(-1, part.shape[-1])) + 1e-8 for part in (model, base))
        divergence = (ours * np.log(ours / theirs)).sum(axis=1, keepdims=True)
        importance = np.maximum(np.abs(model - base).reshape(ours.shape) * divergence, 0)
        first, median, third = (
            np.sort(importance.ravel())[int(np.float32(q) * (base.size - 1))] for q in (0.25, 0.5, 0.75)
        )
        bound = median + 1.5 * (third - first)
        sure = (np.abs(importance - bound) > 1e-5 * bound).reshape(base.shape)
        wanted = np.where(importance.reshape(base.shape) >= bound, model, base)
        one_rounding(values[sure], wanted[sure], 1e-7)
        assert sure.mean() > 0.8


def softmax(rows: Array) -> Array:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found
