"""A checkpoint's tensor, read by ranges of elements, with its adapter's share added."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from merging import kernels
from merging.buffers import Work, scratch, widen
from merging.checkpoint import STORAGE, Adapter, Checkpoint, CheckpointError
from merging.low_rank import add_low_rank

_adapters = threading.local()


@dataclass(frozen=True)
class Plain:
    """A checkpoint's tensor as it is stored, plus its adapter's share: the plainest `merging.stack.Slab`."""

    checkpoint: Checkpoint
    name: str
    adapter: Adapter | None = None
    allow_nan: bool = False

    @property
    def label(self) -> str:
        """The tensor's file and name, for errors."""
        return f"{self.checkpoint.tensors[self.name].file}: tensor {self.name!r}"

    @property
    def as_stored(self) -> str | None:
        """The safetensors type of its bits, where they are all there is; None where an adapter adds to them."""
        adapted = self.adapter is not None and self.name in self.adapter.pairs
        return None if adapted else self.checkpoint.tensors[self.name].dtype

    def read(self, start: int, stop: int, out: Work) -> None:
        """Widen elements [start, stop) into `out`, shape (stop - start,).

        Raises `CheckpointError` naming the first element that is not a finite number, unless `allow_nan`.
        """
        info = self.checkpoint.tensors[self.name]
        if info.dtype == "BF16" and out.dtype == np.float32:
            raw = scratch("raw", stop - start, np.uint16)
            self.checkpoint.read_into(self.name, start, raw)
            bad = bool(kernels.decode_bf16(raw, out))
        else:
            stored = scratch("raw", stop - start, STORAGE[info.dtype])
            self.checkpoint.read_into(self.name, start, stored)
            out[:] = widen(stored, info.dtype, out.dtype)
            bad = not self.allow_nan and bool(kernels.unbounded(out))
        if bad and not self.allow_nan:
            at = start + int(np.flatnonzero(~np.isfinite(out))[0])
            raise CheckpointError(
                f"{self.label}: element {at} is {out[at - start]}: broken weights? --allow-nan merges it"
            )
        if self.adapter is not None and self.name in self.adapter.pairs:
            up, down, scale = _low_rank(self.adapter, self.name, out.dtype)
            add_low_rank(out, start, info.shape[-1], up, down, scale)


def _low_rank(adapter: Adapter, name: str, dtype: np.dtype[np.floating]) -> tuple[Work, Work, Work]:
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
