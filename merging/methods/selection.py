"""The r-th largest magnitude of a tensor, exactly and without sorting it.

Two counts: of the upper 15 bits of all magnitudes, then of the lower 16 bits of those that share the upper bits
sought. Memory does not depend on the tensor's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sweep = Callable[[], Iterator[Any]]
"""Goes over all blocks once: (sources, elements) each time, as `kernels` takes them."""
Counts = NDArray[np.uint32]


def largest(kernels: Any, sweep: Sweep, ranks: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """found[k, r]: the ranks[k][r]-th largest magnitude of source k, counted from 1.

    Rank 0 is larger than all (infinity), a rank past the last is 0.
    """
    lanes = np.zeros((len(ranks), 1 << 15, kernels.LANES), np.uint32)
    for rows in sweep():
        kernels.count_high(rows, lanes)
    high = lanes.sum(axis=2, dtype=np.int64)
    places: dict[tuple[int, int], Counts] = {}
    sought: dict[tuple[int, int], tuple[int, int]] = {}
    for k, wanted in enumerate(ranks):
        above = high[k][::-1].cumsum()[::-1]
        for rank in wanted:
            if 0 < rank <= above[0]:
                bin_ = int(np.flatnonzero(above >= rank)[-1])
                sought[k, rank] = bin_, rank - int(above[bin_] - high[k, bin_])
                places[k, bin_] = np.zeros(1 << 16, np.uint32)
    for rows in sweep() if places else ():
        for (k, bin_), low in places.items():
            kernels.count_low(rows[k], bin_, low)
    found = np.zeros((len(ranks), max((len(wanted) for wanted in ranks), default=0)), np.float32)
    for k, wanted in enumerate(ranks):
        for column, rank in enumerate(wanted):
            found[k, column] = _value(sought.get((k, rank)), places, k, rank)
    return found


def _value(place: tuple[int, int] | None, places: dict[tuple[int, int], Counts], k: int, rank: int) -> float:
    if place is None:
        return float("inf") if rank <= 0 else 0.0
    bin_, left = place
    above = places[k, bin_][::-1].cumsum(dtype=np.int64)[::-1]
    bits = np.uint32((bin_ << 16) | int(np.flatnonzero(above >= left)[-1]))
    return float(bits.view(np.float32))
