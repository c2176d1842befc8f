"""A checkpoint's tensor, read by ranges of elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from merging import bfloat16, kernels
from merging.buffers import Work, scratch, widen
from merging.checkpoint import STORAGE, Checkpoint, CheckpointError


@dataclass(frozen=True)
class Plain:
    """A checkpoint's tensor as it is stored; the plainest `merging.stack.Slab`."""

    checkpoint: Checkpoint
    name: str
    allow_nan: bool = False

    @property
    def label(self) -> str:
        """The tensor's file and name, for errors."""
        return f"{self.checkpoint.tensors[self.name].file}: tensor {self.name!r}"

    @property
    def as_stored(self) -> str:
        """The safetensors type of its bits."""
        return self.checkpoint.tensors[self.name].dtype

    def read(self, start: int, stop: int, out: Work) -> None:
        """Widen elements [start, stop) into `out`, shape (stop - start,).

        Raises `CheckpointError` naming the first element that is not a finite number, unless `allow_nan`.
        """
        info = self.checkpoint.tensors[self.name]
        if info.dtype == "BF16" and out.dtype == np.float32:
            raw = scratch("raw", stop - start, np.uint16)
            self.checkpoint.read_into(self.name, start, raw)
            bad = bool(bfloat16.decode_bf16(raw, out))
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
