"""The r-th largest magnitude of a tensor, exactly and without sorting it.

Two counts: of the upper 15 bits of all magnitudes, then, where these do not settle it, of the lower 16 bits of those
that share the upper bits sought. Memory does not depend on the tensor's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import scratch
from merging.stack import Kernels

Sweep = Callable[[], Iterator[Any]]
"""Goes over all blocks once: (sources, elements) each time, as `kernels` takes them."""

GROUP = 256


def largest(kernels: Kernels, sweep: Sweep, ranks: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """found[k, r]: the ranks[k][r]-th largest magnitude of source k, counted from 1.

    Rank 0 is larger than all (infinity), a rank past the last is 0.
    """
    high = _zeros("high", len(ranks), kernels.LANES, 1 << 15)
    longer = _zeros("longer", len(ranks), 1 << 15)
    for rows in sweep():
        kernels.count_high(rows, high, longer)
    counts = high.sum(axis=1, dtype=np.uint32)
    found = np.zeros((len(ranks), max((len(wanted) for wanted in ranks), default=0)), np.float32)
    places: dict[tuple[int, int], int] = {}
    sought: list[tuple[tuple[int, int], int, int, int]] = []
    for k, wanted in enumerate(ranks):
        total = int(counts[k].sum(dtype=np.int64))
        for column, rank in enumerate(wanted):
            if rank <= 0:
                found[k, column] = np.inf
            elif rank <= total:
                bin_, left = _holding(counts[k], rank)
                # Most differences of bfloat16's numbers end with the upper bits: they come last in their bin.
                found[k, column] = _number(bin_ << 16)
                if left <= longer[k, bin_]:
                    sought.append(((k, column), places.setdefault((k, bin_), len(places)), bin_, left))
    if sought:
        low = _zeros("low", len(places), kernels.LANES, 1 << 16)
        for rows in sweep():
            for (k, bin_), place in places.items():
                kernels.count_low(rows[k], bin_, low[place])
        counts = low.sum(axis=1, dtype=np.uint32)
        for where, place, bin_, left in sought:
            found[where] = _number(bin_ << 16 | _holding(counts[place], left)[0])
    return found


def _number(bits: int) -> np.float32:
    return np.uint32(bits).view(np.float32)


def _zeros(name: str, *shape: int) -> NDArray[np.uint32]:
    """Counters, in memory that the thread has used before: fresh pages would cost more than the counting."""
    found: NDArray[np.uint32] = scratch(name, math.prod(shape), np.uint32).reshape(shape)
    found.fill(0)
    return found


def _holding(counts: NDArray[np.integer[Any]], rank: int) -> tuple[int, int]:
    """The bin that holds the rank-th largest, and its rank in there."""
    if counts.size > GROUP:
        group, rank = _holding(counts.reshape(-1, GROUP).sum(axis=1, dtype=np.int64), rank)
        bin_, left = _holding(counts[group * GROUP : (group + 1) * GROUP], rank)
        return group * GROUP + bin_, left
    above = counts[::-1].cumsum(dtype=np.int64)[::-1]
    bin_ = int(np.flatnonzero(above >= rank)[-1])
    return bin_, rank - int(above[bin_] - counts[bin_])
