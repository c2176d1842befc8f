"""The inner loops of `similarity` and `columns`, compiled. Imported where they are used: numba takes half a second,
and compiles them at the first import (the result is kept beside this file).

Products of columns want each column's numbers side by side: then nine products of three models with three others
share their reads and sum in registers. So a block is turned on its side while it is widened, tile by tile.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

TILE = 16
"""Rows turned at a time: 16 floats are a line of the cache."""
AT_ONCE = 3
"""Models whose products with as many others are summed together; blocks are padded to a multiple."""


@njit("(uint64[:, :, ::1], int64, int64, uint32[:, :, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def turn_bf16(bits: NDArray[np.uint64], first: int, count: int, out: NDArray[np.uint32]) -> None:
    """bfloat16 bits of models [models, rows, columns], four columns in a number, to fp32 bits [columns, models, rows].

    `count` rows, columns from `first` (in fours) on, as many as `out` has.
    """
    high = np.uint32(0xFFFF0000)
    for model in range(bits.shape[0]):
        for first_row in range(0, count, TILE):
            last = min(first_row + TILE, count)
            for quad in range(out.shape[0] // 4):
                for row in range(first_row, last):
                    four = bits[model, row, first + quad]
                    low, up = np.uint32(four & np.uint64(0xFFFFFFFF)), np.uint32(four >> np.uint64(32))
                    out[4 * quad, model, row] = low << np.uint32(16)
                    out[4 * quad + 1, model, row] = low & high
                    out[4 * quad + 2, model, row] = up << np.uint32(16)
                    out[4 * quad + 3, model, row] = up & high


@njit("(float32[:, :, ::1], int64, int64, float32[:, :, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def turn(values: NDArray[np.float32], first: int, count: int, out: NDArray[np.float32]) -> None:
    """As `turn_bf16`, of fp32 numbers."""
    for model in range(values.shape[0]):
        for first_row in range(0, count, TILE):
            last = min(first_row + TILE, count)
            for column in range(out.shape[0]):
                for row in range(first_row, last):
                    out[column, model, row] = values[model, row, first + column]


@njit(  # type: ignore[untyped-decorator]
    "(float32[:, :, ::1], float64[:, :, ::1])", cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}
)
def add_products(block: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    """sums[c, i, j] += sum over rows of block[c, i] * block[c, j], for all i and the j up to its group of three.

    block: [columns, models, rows], models a multiple of three; sums: [columns, models, models].
    """
    columns, models, rows = block.shape
    for c in range(columns):
        total = sums[c]
        for i in range(0, models, AT_ONCE):
            a0, a1, a2 = block[c, i], block[c, i + 1], block[c, i + 2]
            for j in range(0, i + 1, AT_ONCE):
                b0, b1, b2 = block[c, j], block[c, j + 1], block[c, j + 2]
                s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = np.float32(0)
                for r in range(rows):
                    s00 += a0[r] * b0[r]
                    s01 += a0[r] * b1[r]
                    s02 += a0[r] * b2[r]
                    s10 += a1[r] * b0[r]
                    s11 += a1[r] * b1[r]
                    s12 += a1[r] * b2[r]
                    s20 += a2[r] * b0[r]
                    s21 += a2[r] * b1[r]
                    s22 += a2[r] * b2[r]
                total[i, j] += s00
                total[i, j + 1] += s01
                total[i, j + 2] += s02
                total[i + 1, j] += s10
                total[i + 1, j + 1] += s11
                total[i + 1, j + 2] += s12
                total[i + 2, j] += s20
                total[i + 2, j + 1] += s21
                total[i + 2, j + 2] += s22


@njit("int64(float64[:, :, :], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_cosines(gram: NDArray[np.float64], totals: NDArray[np.float64], counts: NDArray[np.float64]) -> int:
    """totals[i, j] += each column's cosine of i and j, counts[i, j] += 1 for each column in which one is not zero.

    gram: [columns, models, models], i >= j; totals and counts: [models, models], both halves. Returns the first model
    with a number that is not finite, or -1.
    """
    columns, models, _ = gram.shape
    lengths = np.empty(models)
    for c in range(columns):
        for i in range(models):
            square = gram[c, i, i]
            if not np.isfinite(square):
                return i
            lengths[i] = np.sqrt(max(square, 0.0))
        for i in range(models):
            for j in range(i + 1):
                if lengths[i] > 0 or lengths[j] > 0:
                    counts[i, j] += 1
                if lengths[i] > 0 and lengths[j] > 0:
                    totals[i, j] += min(1.0, max(-1.0, gram[c, i, j] / (lengths[i] * lengths[j])))
    for i in range(models):
        for j in range(i):
            totals[j, i], counts[j, i] = totals[i, j], counts[i, j]
    return -1
