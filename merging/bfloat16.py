"""Loops over bfloat16 numbers as checkpoints hold them: bits in, bits or float32 out (see `merging/kernels.py`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, scratch
from merging.compiled import compiled, inner

TILE = 2048
"""Elements whose sums are kept beside one another, in the first-level cache."""
STRIP = 512
"""Products summed before they are added to a float64 sum."""


@inner
def widened(bits: np.uint16) -> np.float32:
    """One bfloat16 number as float32; exact."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@inner
def narrowed(value: np.float32) -> np.uint16:
    """Rounded to nearest, ties to even."""
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    return np.uint16(np.uint32(bits + np.uint32(np.uint32(0x7FFF) + odd)) >> np.uint32(16))


@compiled()
def decode_bf16(raw: NDArray[np.uint16], out: NDArray[np.float32]) -> bool:
    """Widen (elements,) into `out` (elements,); True if something is infinite or not a number."""
    highest = np.uint16(0)
    for i in range(raw.size):
        out[i] = widened(raw[i])
        highest = max(highest, np.uint16(raw[i] & np.uint16(0x7FFF)))
    return bool(highest >= np.uint16(0x7F80))


@compiled()
def decode_taus(raw: NDArray[np.uint16], out: NDArray[np.float32]) -> bool:
    """Widen rows (sources, elements): the last one, and the others minus it; True if
    something is infinite or not a number."""
    last = raw.shape[0] - 1
    highest = np.uint16(0)
    for start in range(0, raw.shape[1], TILE):
        count = min(TILE, raw.shape[1] - start)
        base, below = raw[last, start : start + count], out[last, start : start + count]
        for i in range(count):
            below[i] = widened(base[i])
        for k in range(last + 1):
            bits = raw[k, start : start + count]
            for i in range(count):
                highest = max(highest, np.uint16(bits[i] & np.uint16(0x7FFF)))
        for k in range(last):
            bits, row = raw[k, start : start + count], out[k, start : start + count]
            for i in range(count):
                row[i] = widened(bits[i]) - widened(base[i])
    return bool(highest >= np.uint16(0x7F80))


@compiled()
def encode_bf16(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
    """Round (elements,) to nearest, ties to even; what is not a number stays so."""
    for i in range(values.size):
        out[i] = narrowed(values[i]) if values[i] == values[i] else np.uint16(0x7FC0)


def weighted_sum_bf16(raw: NDArray[np.uint16], weights: Work, divisor: Work, out: NDArray[np.uint16]) -> bool:
    """`decode_bf16`, `weighted_sum` and `encode_bf16` in one, for rows (sources, elements) and weights (sources,).

    True if a result is infinite or not a number, as it is wherever a source is."""
    return _weighted_sum_bf16(raw, weights, divisor, scratch("sums", TILE, np.float32), out)


@compiled(("contract",))
def _weighted_sum_bf16(
    raw: NDArray[np.uint16], weights: Work, divisor: Work, sums: NDArray[np.float32], out: NDArray[np.uint16]
) -> bool:
    highest = np.uint16(0)
    for start in range(0, out.size, TILE):
        count = min(TILE, out.size - start)
        for k in range(raw.shape[0]):
            weight, row = weights[k], raw[k, start : start + count]
            if k == 0:
                for i in range(count):
                    sums[i] = widened(row[i]) * weight
            else:
                for i in range(count):
                    sums[i] += widened(row[i]) * weight
        if divisor[0] != 1:
            for i in range(count):
                sums[i] /= divisor[0]
        target = out[start : start + count]
        for i in range(count):
            target[i] = narrowed(sums[i])
        for i in range(count):
            highest = max(highest, np.uint16(target[i] & np.uint16(0x7FFF)))
    return bool(highest >= np.uint16(0x7F80))


@compiled(("contract",))
def weighted_pair(
    first: NDArray[np.uint16], second: NDArray[np.uint16], weights: Work, divisor: Work, out: NDArray[np.uint16]
) -> bool:
    """`weighted_sum_bf16` of two rows (elements,), wherever they lie: the sum stays in a register."""
    highest = np.uint16(0)
    share, other = weights[0], weights[1]
    for start in range(0, out.size, TILE):
        count = min(TILE, out.size - start)
        one, two, target = first[start : start + count], second[start : start + count], out[start : start + count]
        if divisor[0] != 1:
            for i in range(count):
                target[i] = narrowed((widened(two[i]) * other + widened(one[i]) * share) / divisor[0])
        else:
            for i in range(count):
                # This order: the first product is joined with the addition, as `weighted_sum_bf16` does it.
                target[i] = narrowed(widened(two[i]) * other + widened(one[i]) * share)
        for i in range(count):
            highest = max(highest, np.uint16(target[i] & np.uint16(0x7FFF)))
    return bool(highest >= np.uint16(0x7F80))


def gram_bf16(raw: NDArray[np.uint16], taus: bool, out: NDArray[np.float64]) -> None:
    """`add_gram` straight from bits (sources, elements), strip by strip; `taus`: of all rows minus the last, which is
    then no row itself. What is not a finite number makes a row's products with itself infinite or NaN."""
    if len(raw) == len(out) == 2:
        gram_pair(raw[0], raw[1], out)
        return
    wide = scratch("strips", raw.shape[0] * STRIP, np.float32).reshape(raw.shape[0], STRIP)
    _gram_bf16(raw, taus, wide, out)


@compiled(("reassoc", "contract"))
def gram_pair(one_row: NDArray[np.uint16], other_row: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
    """`gram_bf16` of two rows (elements,), wherever they lie: three sums that stay in registers."""
    for start in range(0, one_row.size, STRIP):
        count = min(STRIP, one_row.size - start)
        first, second = one_row[start : start + count], other_row[start : start + count]
        left = both = right = np.float32(0)
        for i in range(count):
            one, other = widened(first[i]), widened(second[i])
            left += one * one
            both += one * other
            right += other * other
        out[0, 0] += left
        out[0, 1] += both
        out[1, 0] += both
        out[1, 1] += right


@compiled(("reassoc", "contract"))
def _gram_bf16(raw: NDArray[np.uint16], taus: bool, wide: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    last = raw.shape[0] - 1
    for start in range(0, raw.shape[1], STRIP):
        count = min(STRIP, raw.shape[1] - start)
        for k in range(raw.shape[0]):
            bits, row = raw[k, start : start + count], wide[k]
            for i in range(count):
                row[i] = widened(bits[i])
        if taus:
            for k in range(last):
                for i in range(count):
                    wide[k, i] -= wide[last, i]
        for j in range(out.shape[0]):
            for k in range(j, out.shape[0]):
                first, second = wide[j], wide[k]
                total = np.float32(0)
                for i in range(count):
                    total += first[i] * second[i]
                out[j, k] += total
                if j != k:
                    out[k, j] += total


def build() -> None:
    """Compile everything (`kernels.build` calls it)."""
    rows, row = np.ones((2, 8), np.float32), np.ones(8, np.float32)
    bits, pairs = np.zeros(8, np.uint16), np.zeros((2, 8), np.uint16)
    decode_bf16(bits, row)
    decode_taus(pairs, rows)
    encode_bf16(row, bits)
    weighted_sum_bf16(pairs, np.ones(2, np.float32), np.ones(1, np.float32), bits)
    weighted_pair(bits, bits, np.ones(2, np.float32), np.ones(1, np.float32), bits.copy())
    gram_pair(bits, bits, np.zeros((2, 2)))
    gram_bf16(np.zeros((3, 8), np.uint16), False, np.zeros((3, 3)))
    gram_bf16(pairs, True, np.zeros((1, 1)))
