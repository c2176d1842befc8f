"""Arcee's fusion against its formula."""

from __future__ import annotations

import numpy as np

from tests.scripts.method_stacks import Array, Family, merged, one_rounding, raw, stacked


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
