"""A tensor with what an adapter makes of it, block by block."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.adapter import Adapter, Change
from merging.buffers import BLOCK, Work, widen
from merging.checkpoint import CheckpointError
from merging.low_rank import add_low_rank
from merging.stack import Slab

_adapters = threading.local()


@dataclass(frozen=True)
class Adapted:
    """`inner` as the base stores it, of `shape`; what it becomes may have more rows (a resized embedding)."""

    inner: Slab
    adapter: Adapter
    name: str
    """The base's name of the tensor."""
    shape: tuple[int, ...]
    allow_nan: bool = False
    given: Change | None = None
    """What becomes of it, where that is not the adapter's change of this name."""
    _lengths: list[NDArray[np.float64]] = field(default_factory=list, compare=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def label(self) -> str:
        """The tensor and the adapter over it, for errors."""
        return f"{self.inner.label} with {self.adapter.folder}"

    @property
    def change(self) -> Change:
        """What the adapter does to this tensor."""
        return self.adapter.changes[self.name] if self.given is None else self.given

    def read(self, start: int, stop: int, out: Work) -> None:
        """Write the values [start, stop) of the flattened tensor to `out`. Raises `CheckpointError` for values that
        are no numbers."""
        change = self.change
        if change.whole is not None:
            info = change.whole
            out[:] = widen(self.adapter.tensor(info).reshape(-1)[start:stop], info.dtype, out.dtype)
        else:
            self._changed(start, stop, out)
            if change.rows is not None:
                self._replace_rows(start, stop, out)
        if change.added is not None:
            info, factor = change.added
            values = widen(self.adapter.tensor(info).reshape(-1)[start:stop], info.dtype, out.dtype)
            out += values * out.dtype.type(factor)
        if not self.allow_nan and not np.isfinite(out).all():
            raise CheckpointError(f"{self.label}: not all finite numbers (--allow-nan merges them all the same)")

    def _changed(self, start: int, stop: int, out: Work) -> None:
        """The base plus the low-rank product, brought to the trained lengths where there are such."""
        self.inner.read(start, stop, out)
        if self.change.pair is None:
            return
        self._add(start, out)
        if self.change.magnitude is not None:
            self._scale(start, stop, out)

    def _add(self, start: int, out: Work) -> None:
        up, down, scale = _low_rank(self.adapter, self.name, out.dtype)
        add_low_rank(out, start, self.shape[-1], up, down, scale)

    def _scale(self, start: int, stop: int, out: Work) -> None:
        columns = self.shape[-1]
        factors = self._factors().astype(out.dtype)
        places = np.arange(start, stop)
        turned = self.change.pair is not None and self.change.pair.turned
        out *= factors[places % columns if turned else places // columns]

    def _factors(self) -> NDArray[np.float64]:
        """Trained length / length of each row (each column, where turned) of base plus product; found once."""
        with self._lock:
            if not self._lengths:
                magnitude = self.change.magnitude
                assert magnitude is not None
                trained = widen(self.adapter.tensor(magnitude).reshape(-1), magnitude.dtype, np.dtype(np.float64))
                self._lengths.append(trained / np.sqrt(sum(self._squares())))
            return self._lengths[0]

    def _squares(self) -> Iterator[NDArray[np.float64]]:
        rows, columns = self.shape
        step = max(1, BLOCK // columns)
        turned = self.change.pair is not None and self.change.pair.turned
        # Memory of its own: `scratch` is in use by whoever reads this block.
        block = np.empty(step * columns, np.float32)
        for first in range(0, rows, step):
            last = min(first + step, rows)
            part = block[: (last - first) * columns]
            self.inner.read(first * columns, last * columns, part)
            self._add(first * columns, part)
            squares = part.reshape(-1, columns).astype(np.float64) ** 2
            if turned:
                yield squares.sum(0)
                continue
            found = np.zeros(rows)
            found[first:last] = squares.sum(1)
            yield found

    def _replace_rows(self, start: int, stop: int, out: Work) -> None:
        info = self.change.rows
        assert info is not None
        columns = math.prod(self.shape[1:])
        held = self.adapter.tensor(info).reshape(-1, columns)
        for number, place in enumerate(self.change.places):
            first, last = max(start, place * columns), min(stop, (place + 1) * columns)
            if first < last:
                inside = slice(first - place * columns, last - place * columns)
                out[first - start : last - start] = widen(held[number, inside], info.dtype, out.dtype)


def _low_rank(adapter: Adapter, name: str, dtype: np.dtype[Any]) -> tuple[Work, Work, Work]:
    """(B, A, scale) of an adapter's tensor, widened once for the blocks that follow on this thread."""
    held: dict[tuple[int, str], tuple[Adapter, tuple[Work, Work, Work]]]
    tensor, held = getattr(_adapters, "held", (None, {}))
    if tensor != name:
        held = {}
        _adapters.held = (name, held)
    # The adapter is kept with its numbers, so that its identity is not given to another one.
    if (id(adapter), dtype.str) not in held:
        down, up, scale = adapter.arrays(name)
        pair = adapter.pairs[name]
        widened = widen(up, pair.up.dtype, dtype), widen(down, pair.down.dtype, dtype)
        held[id(adapter), dtype.str] = (adapter, (*widened, np.array([scale], dtype)))
    return held[id(adapter), dtype.str][1]
