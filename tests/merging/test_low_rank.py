"""What an adapter adds to a block is the same numbers of the whole product, wherever the block begins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from merging.low_rank import add_low_rank


@given(st.integers(1, 9), st.integers(1, 30), st.integers(0, 60), st.integers(1, 200), st.sampled_from(["f4", "f8"]))
@settings(max_examples=60, deadline=None)
def test_any_block_of_the_product(rank: int, columns: int, start: int, count: int, kind: str) -> None:
    random = np.random.default_rng(rank)
    rows = -(-(start + count) // columns)
    up, down = random.standard_normal((rows, rank)).astype(kind), random.standard_normal((rank, columns)).astype(kind)
    before = random.standard_normal(count).astype(kind)
    out = before.copy()
    add_low_rank(out, start, columns, up, down, np.array([0.5], kind))
    wanted = before + 0.5 * (up.astype(float) @ down).reshape(-1)[start : start + count]
    np.testing.assert_allclose(out, wanted, atol=1e-5 if kind == "f4" else 1e-12)
