"""The r-th largest magnitude, found by counting, is the one that sorting finds."""

from __future__ import annotations

import numpy as np
import pytest

from merging import kernels
from merging.methods.selection import largest


@pytest.mark.parametrize("exact", [0.0, 0.5, 0.97, 1.0])
def test_any_rank_is_found(exact: float) -> None:
    """`exact`: the share of numbers without lower bits, as differences of bfloat16's numbers mostly are."""
    rng = np.random.default_rng(7)
    rows = rng.normal(0, 1, (2, 5000)).astype("f4")
    short = rng.random(rows.shape) < exact
    rows[short] = (rows[short].view("u4") & np.uint32(0xFFFF0000)).view("f4")
    rows[1, :2000] = 0
    ranks = [[0, 1, 2, 17, 2500, 4999, 5000, 5001], [1, 3000, 3001, 5000, 6000, 0, 9, 10]]
    found = largest(kernels, lambda: iter((rows[:, :1000].copy(), rows[:, 1000:].copy())), ranks)
    for row, wanted, numbers in zip(rows, ranks, found, strict=True):
        ordered = np.sort(np.abs(row))[::-1]
        for rank, number in zip(wanted, numbers, strict=True):
            assert number == (np.inf if rank == 0 else 0 if rank > row.size else ordered[rank - 1])
