"""The r-th largest magnitude of a tensor, exactly and without sorting it.

Two counts: of the upper 15 bits of all magnitudes, then of the lower 16 bits of those that share the upper bits
sought. Memory does not depend on the tensor's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Sweep = Callable[[], Iterator[NDArray[np.float32]]]
"""Goes over all blocks once: (sources, elements) each time."""


def largest(sweep: Sweep, ranks: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """found[k, r]: the ranks[k][r]-th largest magnitude of source k, counted from 1.

    Rank 0 is larger than all (infinity), a rank past the last is 0.
    """
    from merging import kernels

    high = np.zeros((len(ranks), 1 << 15), np.int64)
    for rows in sweep():
        kernels.count_high(rows.astype(np.float32, copy=False), high)
    places: dict[tuple[int, int], NDArray[np.int64]] = {}
    sought: dict[tuple[int, int], tuple[int, int]] = {}
    for k, wanted in enumerate(ranks):
        above = high[k][::-1].cumsum()[::-1]
        for rank in wanted:
            if 0 < rank <= above[0]:
                bin_ = int(np.flatnonzero(above >= rank)[-1])
                sought[k, rank] = bin_, rank - int(above[bin_] - high[k, bin_])
                places[k, bin_] = np.zeros(1 << 16, np.int64)
    for rows in sweep() if places else ():
        for (k, bin_), low in places.items():
            kernels.count_low(rows[k].astype(np.float32, copy=False), bin_, low)
    found = np.zeros((len(ranks), max((len(wanted) for wanted in ranks), default=0)), np.float32)
    for k, wanted in enumerate(ranks):
        for column, rank in enumerate(wanted):
            found[k, column] = _value(sought.get((k, rank)), places, k, rank)
    return found


def _value(place: tuple[int, int] | None, places: dict[tuple[int, int], NDArray[np.int64]], k: int, rank: int) -> float:
    if place is None:
        return float("inf") if rank <= 0 else 0.0
    bin_, left = place
    above = places[k, bin_][::-1].cumsum()[::-1]
    bits = np.uint32((bin_ << 16) | int(np.flatnonzero(above >= left)[-1]))
    return float(bits.view(np.float32))
