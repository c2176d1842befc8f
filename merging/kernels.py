"""The inner loops, compiled (`merging/compiled.py`; `build` at set-up, else each at its first call).

Arrays are one-dimensional blocks, or (sources, elements). `Work` arrays are float32 (float64 where a checkpoint holds
float64). The compiler may reorder sums in float64 only; in weighted sums it joins a multiplication and an addition
into one rounding (as torch does, so that linear has mergekit's bits). So results do not depend on the vectors' width.
All run without the interpreter's lock. Numba widens what is computed from 32 bits to 64: hence the many casts, which
keep sixteen numbers in a register instead of eight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merging import bfloat16
from merging.buffers import Work, scratch
from merging.compiled import compiled, inner

TILE = 2048
"""Elements whose sums are kept beside one another, in the first-level cache."""
STRIP = 512
"""Products summed before they are added to a float64 sum."""
LANES = 4
"""Counters side by side for each bin: a counter's next step need not wait for its last one."""


@inner
def magnitude(value: np.float32) -> np.uint32:
    """The bits without the sign: they order as the magnitudes do."""
    return np.uint32(np.float32(value).view(np.uint32) & np.uint32(0x7FFFFFFF))


@compiled()
def unbounded(values: Work) -> bool:
    """True if something is infinite or not a number."""
    found = 0
    for i in range(values.size):
        found += not (abs(values[i]) < np.inf)
    return found > 0


@compiled(("contract",))
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


@compiled()
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


@compiled()
def subtract(rows: Work, base: Work) -> None:
    """rows[k] -= base."""
    for k in range(rows.shape[0]):
        for i in range(base.size):
            rows[k, i] -= base[i]


@compiled(("reassoc", "contract"))
def add_gram(rows: Work, out: NDArray[np.float64]) -> None:
    """out[j, k] += rows[j] . rows[k]: strips of products in the rows' type (bfloat16's are exact there), their sums in
    float64. What strips lose is a ten-millionth at most; what is told from it needs a thousandth."""
    for start in range(0, rows.shape[1], STRIP):
        stop = min(start + STRIP, rows.shape[1])
        for j in range(rows.shape[0]):
            for k in range(j, rows.shape[0]):
                first, second = rows[j, start:stop], rows[k, start:stop]
                total = rows.dtype.type(0)
                for i in range(stop - start):
                    total += first[i] * second[i]
                out[j, k] += total
                if j != k:
                    out[k, j] += total


@compiled(("reassoc", "contract"))
def add_absolute(rows: Work, out: NDArray[np.float64]) -> None:
    """out[k] += sum |rows[k]|, in float64."""
    for k in range(rows.shape[0]):
        total = 0.0
        for i in range(rows.shape[1]):
            total += np.float64(abs(rows[k, i]))
        out[k] += total


def count_high(rows: Work, out: NDArray[np.uint32], longer: NDArray[np.uint32]) -> None:
    """out[k, :, b] += how many magnitudes of rows[k], in float32, have the upper 15 bits b, over LANES counters.

    longer[k, b] += how many of them have lower bits too.
    """
    _count_high(rows.astype(np.float32, copy=False), out, longer)


@compiled()
def _count_high(rows: NDArray[np.float32], out: NDArray[np.uint32], longer: NDArray[np.uint32]) -> None:
    for k in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            bits = magnitude(rows[k, i])
            out[k, i % LANES, bits >> np.uint32(16)] += np.uint32(1)
            if bits & np.uint32(0xFFFF) != 0:
                longer[k, bits >> np.uint32(16)] += np.uint32(1)


def count_low(row: Work, high: int, out: NDArray[np.uint32]) -> None:
    """out[:, b] += how many float32 magnitudes of `row` have the upper bits `high` and the lower 16 bits b."""
    _count_low(row.astype(np.float32, copy=False), high, scratch("found", TILE, np.uint32), out)


@compiled()
def _count_low(row: NDArray[np.float32], high: int, found: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
    wanted = np.uint32(high)
    for start in range(0, row.size, TILE):
        count = np.uint64(0)
        for i in range(start, min(start + TILE, row.size)):
            # Written always, kept if it is one of them: a branch would be mispredicted.
            bits = magnitude(row[i])
            found[count] = bits
            count += np.uint64(np.uint32(bits >> np.uint32(16)) == wanted)
        for j in range(count):
            out[j % np.uint64(LANES), found[j] & np.uint32(0xFFFF)] += np.uint32(1)


@compiled()
def scale_rows(rows: Work, factors: Work) -> None:
    """rows[k] *= factors[k]."""
    for k in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            rows[k, i] *= factors[k]


@compiled()
def keep_between(row: Work, low: np.float32, high: np.float32) -> None:
    """Zero what is smaller in magnitude than `low` or larger than `high`."""
    for i in range(row.size):
        magnitude = np.float32(abs(row[i]))
        row[i] = row[i] if low <= magnitude and magnitude <= high else row.dtype.type(0)


@inner
def _drawn(key: np.uint64, number: int) -> np.uint32:
    """24 random bits that depend on both alone: SplitMix64, https://doi.org/10.1145/2714064.2660195."""
    state = key + np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32((state ^ (state >> np.uint64(31))) >> np.uint64(40))


@compiled()
def drop(row: Work, key: np.uint64, start: int, keep: int, scale: Work) -> None:
    """Keep each element with probability keep / 2^24 and multiply it by scale[0], zero the rest.

    The draw depends on `key` and the element's number (the first is `start`) alone.
    """
    factor, zero = scale[0], row.dtype.type(0)
    for i in range(row.size):
        row[i] = row[i] * factor if _drawn(key, start + i + 1) < keep else zero


@compiled()
def drop_each(row: Work, key: np.uint64, start: int, keep: NDArray[np.uint32], scale: Work) -> None:
    """`drop` with a probability and a factor for each element."""
    zero = row.dtype.type(0)
    for i in range(row.size):
        row[i] = row[i] * scale[i] if _drawn(key, start + i + 1) < keep[i] else zero


def consensus(base: Work, taus: Work, weights: NDArray[np.float64], divide: bool, scale: Work, out: Work) -> None:
    """out = base + scale[0] * the sum of weights[k] taus[k] over the sources that agree with the sum's sign.

    `divide`: by the sum of the weights that took part. The sign is taken in float64, for changes often cancel
    out exactly; zero counts as positive.
    """
    totals, held = scratch("totals", TILE, np.float64), scratch("held", 2 * TILE, base.dtype).reshape(2, TILE)
    _consensus(base, taus, weights, divide, scale, totals, held[0], held[1], out)


@compiled()
def _consensus(
    base: Work,
    taus: Work,
    weights: NDArray[np.float64],
    divide: bool,
    scale: Work,
    totals: NDArray[np.float64],
    signs: Work,
    divisors: Work,
    out: Work,
) -> None:
    zero, one = base.dtype.type(0), base.dtype.type(1)
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
        for i in range(stop - start):
            signs[i] = one if totals[i] >= 0 else -one
        for k in range(taus.shape[0]):
            share, tau = base.dtype.type(weights[k]), taus[k, start:stop]
            for i in range(stop - start):
                part = tau[i] * share
                agrees = part * signs[i] > zero
                values[i] += part if agrees else zero
                divisors[i] += share if agrees else zero
        if divide:
            for i in range(stop - start):
                values[i] = values[i] / divisors[i] if divisors[i] != zero else values[i]
        for i in range(stop - start):
            values[i] = base[start + i] + scale[0] * values[i]


@compiled()
def near_swap(base: Work, row: Work, t: Work, out: Work) -> None:
    """out = base + (row - base) * min(1, max(0, t / |row - base|)), the distance at least 1e-6."""
    for i in range(out.size):
        distance = max(abs(row[i] - base[i]), base.dtype.type(1e-6))
        share = min(max(t[0] / distance, base.dtype.type(0)), base.dtype.type(1))
        out[i] = share * row[i] + (base.dtype.type(1) - share) * base[i]


@compiled()
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
    one, pair = np.ones(1, np.float32), np.ones(2, np.float32)
    bfloat16.build()
    unbounded(row)
    weighted_sum(rows, pair, one, row)
    shifted_sum(row, rows, pair, row.copy())
    subtract(rows, row)
    add_gram(rows, np.zeros((2, 2)))
    add_absolute(rows, np.zeros(2))
    count_high(rows, np.zeros((2, LANES, 1 << 15), np.uint32), np.zeros((2, 1 << 15), np.uint32))
    count_low(row, 1, np.zeros((LANES, 1 << 16), np.uint32))
    scale_rows(rows, pair)
    keep_between(row, np.float32(0), np.float32(1))
    drop(row, np.uint64(1), 0, 1, one)
    drop_each(row, np.uint64(1), 0, np.ones(8, np.uint32), row.copy())
    consensus(row, rows, np.ones(2), True, one, row.copy())
    near_swap(row, row, one, row.copy())
    weighted_ratio(rows, np.ones((2, 8), np.float32), pair, one, row)
