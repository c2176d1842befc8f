"""The inner loops, compiled by numba and cached beside this file (`build` at set-up; the first call otherwise).

Arrays are one-dimensional blocks, or (sources, elements). `Work` arrays are float32 (float64 where a checkpoint holds
float64). The compiler may reorder sums in float64 only; in weighted sums it joins a multiplication and an addition
into one rounding (as torch does, so that linear has mergekit's bits). So results do not depend on the vectors' width.
All run without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

TILE = 2048
"""Elements whose sums are kept beside one another, in the first-level cache."""

Function = TypeVar("Function", bound=Callable[..., Any])
Work = NDArray[np.floating[Any]]


def _compiled(function: Function) -> Function:
    compiled: Function = numba.njit(nogil=True, cache=True)(function)
    return compiled


def _inlined(function: Function) -> Function:
    compiled: Function = numba.njit(inline="always")(function)
    return compiled


def _joining(function: Function) -> Function:
    compiled: Function = numba.njit(nogil=True, cache=True, fastmath={"contract"})(function)
    return compiled


def _summing(function: Function) -> Function:
    compiled: Function = numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})(function)
    return compiled


@_compiled
def decode_bf16(raw: NDArray[np.uint16], out: NDArray[np.float32]) -> bool:
    """Widen; True if something is infinite or not a number."""
    bits = out.view(np.uint32)
    highest = np.uint32(0)
    for i in range(raw.size):
        value = np.uint32(raw[i])
        bits[i] = value << np.uint32(16)
        highest = max(highest, value & np.uint32(0x7FFF))
    return bool(highest >= np.uint32(0x7F80))


@_compiled
def encode_bf16(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
    """Round to nearest, ties to even; what is not a number stays so."""
    bits = values.view(np.uint32)
    for i in range(values.size):
        value = bits[i]
        rounded = (value + np.uint32(0x7FFF) + ((value >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (value & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        out[i] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)


@_compiled
def unbounded(values: Work) -> bool:
    """True if something is infinite or not a number."""
    found = 0
    for i in range(values.size):
        found += not (abs(values[i]) < np.inf)
    return found > 0


@_joining
def weighted_sum_bf16(raw: NDArray[np.uint16], weights: Work, divisor: Work, out: NDArray[np.uint16]) -> bool:
    """`decode_bf16`, `weighted_sum` and `encode_bf16` in one; True if a source is infinite or not a number."""
    sums = np.empty(TILE, np.float32)
    bits = sums.view(np.uint32)
    wide = np.empty(TILE, np.uint32)
    numbers = wide.view(np.float32)
    highest = np.uint32(0)
    for start in range(0, out.size, TILE):
        count = min(TILE, out.size - start)
        for k in range(raw.shape[0]):
            weight, row = weights[k], raw[k, start : start + count]
            for i in range(count):
                value = np.uint32(row[i])
                wide[i] = value << np.uint32(16)
                highest = max(highest, value & np.uint32(0x7FFF))
            if k == 0:
                for i in range(count):
                    sums[i] = numbers[i] * weight
            else:
                for i in range(count):
                    sums[i] += numbers[i] * weight
        if divisor[0] != 1:
            for i in range(count):
                sums[i] /= divisor[0]
        target = out[start : start + count]
        for i in range(count):
            value = bits[i]
            target[i] = np.uint16(
                (value + np.uint32(0x7FFF) + ((value >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
            )
    return bool(highest >= np.uint32(0x7F80))


@_joining
def weighted_sum(rows: Work, weights: Work, divisor: Work, out: Work) -> None:
    """out = sum_k weights[k] rows[k] / divisor[0]."""
    for i in range(out.size):
        out[i] = rows[0, i] * weights[0]
    for k in range(1, rows.shape[0]):
        weight = weights[k]
        for i in range(out.size):
            out[i] += rows[k, i] * weight
    if divisor[0] != 1:
        for i in range(out.size):
            out[i] /= divisor[0]


@_compiled
def shifted_sum(base: Work, taus: Work, weights: Work, out: Work) -> None:
    """out = base + sum_k weights[k] taus[k]."""
    for i in range(out.size):
        out[i] = taus[0, i] * weights[0]
    for k in range(1, taus.shape[0]):
        weight = weights[k]
        for i in range(out.size):
            out[i] += taus[k, i] * weight
    for i in range(out.size):
        out[i] += base[i]


@_compiled
def subtract(rows: Work, base: Work) -> None:
    """rows[k] -= base."""
    for k in range(rows.shape[0]):
        for i in range(base.size):
            rows[k, i] -= base[i]


@_compiled
def add_low_rank(out: Work, start: int, columns: int, up: Work, down: Work, scale: Work) -> None:
    """out += scale[0] * (up @ down), for the elements from `start` on, counted along the rows."""
    position = 0
    while position < out.size:
        row = (start + position) // columns
        column = (start + position) % columns
        length = min(columns - column, out.size - position)
        for k in range(down.shape[0]):
            factor = scale[0] * up[row, k]
            for i in range(length):
                out[position + i] += factor * down[k, column + i]
        position += length


@_summing
def add_gram(rows: Work, out: NDArray[np.float64]) -> None:
    """out[j, k] += rows[j] . rows[k], in float64."""
    for j in range(rows.shape[0]):
        for k in range(j, rows.shape[0]):
            total = 0.0
            for i in range(rows.shape[1]):
                total += np.float64(rows[j, i]) * np.float64(rows[k, i])
            out[j, k] += total
            if j != k:
                out[k, j] += total


@_summing
def add_absolute(rows: Work, out: NDArray[np.float64]) -> None:
    """out[k] += sum |rows[k]|, in float64."""
    for k in range(rows.shape[0]):
        total = 0.0
        for i in range(rows.shape[1]):
            total += np.float64(abs(rows[k, i]))
        out[k] += total


@_compiled
def count_high(rows: NDArray[np.float32], out: NDArray[np.int64]) -> None:
    """out[k, b] += how many magnitudes of rows[k] have the upper 15 bits b: (sources, 32768)."""
    for k in range(rows.shape[0]):
        bits = rows[k].view(np.uint32)
        for i in range(bits.size):
            out[k, (bits[i] & np.uint32(0x7FFFFFFF)) >> np.uint32(16)] += 1


@_compiled
def count_low(row: NDArray[np.float32], high: int, out: NDArray[np.int64]) -> None:
    """out[b] += how many magnitudes of `row` have the upper bits `high` and the lower 16 bits b: (65536)."""
    bits = row.view(np.uint32)
    for i in range(bits.size):
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        if magnitude >> np.uint32(16) == high:
            out[magnitude & np.uint32(0xFFFF)] += 1


@_compiled
def keep_between(row: Work, low: np.float32, high: np.float32) -> None:
    """Zero what is smaller in magnitude than `low` or larger than `high`."""
    for i in range(row.size):
        magnitude = np.float32(abs(row[i]))
        row[i] = row[i] if low <= magnitude and magnitude <= high else row.dtype.type(0)


@_inlined
def _drawn(key: np.uint64, number: int) -> np.uint32:
    """24 random bits that depend on both alone: SplitMix64, https://doi.org/10.1145/2714064.2660195."""
    state = key + np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32((state ^ (state >> np.uint64(31))) >> np.uint64(40))


@_compiled
def drop(row: Work, key: np.uint64, start: int, keep: int, scale: Work) -> None:
    """Keep each element with probability keep / 2^24 and multiply it by scale[0], zero the rest.

    The draw depends on `key` and the element's number (the first is `start`) alone.
    """
    factor, zero = scale[0], row.dtype.type(0)
    for i in range(row.size):
        row[i] = row[i] * factor if _drawn(key, start + i + 1) < keep else zero


@_compiled
def drop_each(row: Work, key: np.uint64, start: int, keep: NDArray[np.uint32], scale: Work) -> None:
    """`drop` with a probability and a factor for each element."""
    zero = row.dtype.type(0)
    for i in range(row.size):
        row[i] = row[i] * scale[i] if _drawn(key, start + i + 1) < keep[i] else zero


@_compiled
def consensus(base: Work, taus: Work, weights: NDArray[np.float64], divide: bool, scale: Work, out: Work) -> None:
    """out = base + scale[0] * the sum of weights[k] taus[k] over the sources that agree with the sum's sign.

    `divide`: by the sum of the weights that took part. The sign is taken in float64, for changes often cancel
    out exactly; zero counts as positive.
    """
    zero = base.dtype.type(0)
    totals, divisors = np.empty(TILE, np.float64), np.empty(TILE, base.dtype)
    for start in range(0, out.size, TILE):
        stop = min(start + TILE, out.size)
        values = out[start:stop]
        for i in range(stop - start):
            totals[i] = 0.0
            values[i] = divisors[i] = zero
        for k in range(taus.shape[0]):
            weight, tau = weights[k], taus[k, start:stop]
            for i in range(stop - start):
                totals[i] += np.float64(tau[i]) * weight
        for k in range(taus.shape[0]):
            share, tau = base.dtype.type(weights[k]), taus[k, start:stop]
            for i in range(stop - start):
                part = tau[i] * share
                agrees = (part > zero) if totals[i] >= 0 else (part < zero)
                values[i] += part if agrees else zero
                divisors[i] += share if agrees else zero
        if divide:
            for i in range(stop - start):
                values[i] = values[i] / divisors[i] if divisors[i] != zero else values[i]
        for i in range(stop - start):
            values[i] = base[start + i] + scale[0] * values[i]


@_compiled
def near_swap(base: Work, row: Work, t: Work, out: Work) -> None:
    """out = base + (row - base) * min(1, max(0, t / |row - base|)), the distance at least 1e-6."""
    for i in range(out.size):
        distance = max(abs(row[i] - base[i]), base.dtype.type(1e-6))
        share = min(max(t[0] / distance, base.dtype.type(0)), base.dtype.type(1))
        out[i] = share * row[i] + (base.dtype.type(1) - share) * base[i]


@_compiled
def weighted_ratio(rows: Work, importance: Work, weights: Work, floor: Work, out: Work) -> None:
    """out = sum_k weights[k] (importance[k] + floor) rows[k] / the sum of the same without rows[k]."""
    for i in range(out.size):
        value = base = rows.dtype.type(0)
        for k in range(rows.shape[0]):
            share = weights[k] * (importance[k, i] + floor[0])
            value += share * rows[k, i]
            base += share
        out[i] = value / base


def build() -> None:
    """Compile everything for float32, so that the first merge need not: some twenty seconds, once a machine."""
    rows, row = np.ones((2, 8), np.float32), np.ones(8, np.float32)
    one, pair, bits = np.ones(1, np.float32), np.ones(2, np.float32), np.zeros(8, np.uint16)
    decode_bf16(bits, row)
    encode_bf16(row, bits)
    unbounded(row)
    weighted_sum_bf16(np.zeros((2, 8), np.uint16), pair, one, bits)
    weighted_sum(rows, pair, one, row)
    shifted_sum(row, rows, pair, row.copy())
    subtract(rows, row)
    add_low_rank(row, 0, 4, np.ones((2, 1), np.float32), np.ones((1, 4), np.float32), one)
    add_gram(rows, np.zeros((2, 2)))
    add_absolute(rows, np.zeros(2))
    count_high(rows, np.zeros((2, 1 << 15), np.int64))
    count_low(row, 1, np.zeros(1 << 16, np.int64))
    keep_between(row, np.float32(0), np.float32(1))
    drop(row, np.uint64(1), 0, 1, one)
    drop_each(row, np.uint64(1), 0, np.ones(8, np.uint32), row.copy())
    consensus(row, rows, np.ones(2), True, one, row.copy())
    near_swap(row, row, one, row.copy())
    weighted_ratio(rows, np.ones((2, 8), np.float32), pair, one, row)
