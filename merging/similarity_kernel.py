"""The two inner loops of `similarity`, compiled. Imported where they are used: numba takes half a second."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 256
"""Columns at a time: the rows of a pair and their sums stay in the first-level cache."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def widen(bits: NDArray[np.uint16], out: NDArray[np.uint32]) -> None:
    """bfloat16 bits [rows, columns] to fp32 bits."""
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            out[row, column] = np.uint32(bits[row, column]) << np.uint32(16)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def add_products(block: NDArray[np.float32], sums: NDArray[np.float64], scratch: NDArray[np.float32]) -> None:
    """sums[p, c] += sum over rows of block[i, :, c] * block[j, :, c], for every pair p of i >= j.

    block: [models, rows, columns]; sums: [models * (models + 1) / 2, columns]; scratch: at least `LANES` long.
    """
    models, rows, columns = block.shape
    for start in range(0, columns, LANES):
        stop = min(start + LANES, columns)
        pair = 0
        for i in range(models):
            for j in range(i + 1):
                left, right = block[i], block[j]
                acc = scratch[: stop - start]
                acc[:] = np.float32(0)
                row = 0
                while row + 4 <= rows:
                    for c in range(stop - start):
                        k = start + c
                        acc[c] += (
                            left[row, k] * right[row, k]
                            + left[row + 1, k] * right[row + 1, k]
                            + left[row + 2, k] * right[row + 2, k]
                            + left[row + 3, k] * right[row + 3, k]
                        )
                    row += 4
                while row < rows:
                    for c in range(stop - start):
                        acc[c] += left[row, start + c] * right[row, start + c]
                    row += 1
                for c in range(stop - start):
                    sums[pair, start + c] += acc[c]
                pair += 1


def compiled() -> tuple[Any, Any]:
    """Both loops, compiled for the types they are called with (and cached beside this file)."""
    widen(np.zeros((1, 1), np.uint16), np.zeros((1, 1), np.uint32))
    add_products(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1)), np.zeros(LANES, np.float32))
    return widen, add_products
