"""What an adapter adds to a block of a matrix, compiled."""

from __future__ import annotations

import numpy as np

from merging.buffers import Work
from merging.compiled import compiled


@compiled(("contract",))
def add_low_rank(out: Work, start: int, columns: int, up: Work, down: Work, scale: Work) -> None:
    """out += scale[0] * (up @ down), for the elements from `start` on, counted along the rows.

    Four ranks at a time: every pass reads and writes `out`. Rows are cut out first, since only then LLVM sees that an
    index is never negative, and uses vectors.
    """
    position = 0
    while position < out.size:
        row = (start + position) // columns
        column = (start + position) % columns
        length = min(columns - column, out.size - position)
        part = out[position : position + length]
        rank = 0
        while rank + 4 <= down.shape[0]:
            factor0, factor1 = scale[0] * up[row, rank], scale[0] * up[row, rank + 1]
            factor2, factor3 = scale[0] * up[row, rank + 2], scale[0] * up[row, rank + 3]
            down0, down1 = down[rank, column : column + length], down[rank + 1, column : column + length]
            down2, down3 = down[rank + 2, column : column + length], down[rank + 3, column : column + length]
            for i in range(length):
                part[i] += factor0 * down0[i] + factor1 * down1[i] + (factor2 * down2[i] + factor3 * down3[i])
            rank += 4
        while rank < down.shape[0]:
            factor, values = scale[0] * up[row, rank], down[rank, column : column + length]
            for i in range(length):
                part[i] += factor * values[i]
            rank += 1
        position += length


def build() -> None:
    """Compile it for float32, so that the first merge need not."""
    one = np.ones(1, np.float32)
    add_low_rank(np.ones(8, np.float32), 0, 4, np.ones((2, 1), np.float32), np.ones((1, 4), np.float32), one)
