"""One tensor of several models, seen together: a block of elements at a time, widened to float32.

A `Slab` is one model's tensor, whatever it is made of; a `Stack` is what a merge method works on. A block's arrays are
buffers of the thread: the next block overwrites them.
"""

from __future__ import annotations

import hashlib
import math
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE, Adapter, Checkpoint, CheckpointError
from merging.low_rank import add_low_rank

BLOCK = 1 << 18
"""Elements at a time. Smaller ones would stay in a core's second-level cache; but each call into compiled code or the
system lets go of the interpreter's lock, and with two threads waiting for it again costs more than the cache saves."""

KEPT = 1 << 25
"""Bytes of a tensor's sources that a thread holds for its next pass over them."""

Work = NDArray[np.floating[Any]]


class Slab(Protocol):
    """A tensor that can be read by ranges of elements, in the order of memory."""

    @property
    def label(self) -> str:
        """Whose it is, for errors."""

    def read(self, start: int, stop: int, out: Work) -> None:
        """Widen elements [start, stop) into `out`. Raises `CheckpointError` where they are no finite numbers."""


@dataclass(frozen=True)
class Plain:
    """A checkpoint's tensor as it is stored, plus its adapter's share."""

    checkpoint: Checkpoint
    name: str
    adapter: Adapter | None = None
    allow_nan: bool = False

    @property
    def label(self) -> str:
        return f"{self.checkpoint.tensors[self.name].file}: tensor {self.name!r}"

    @property
    def as_stored(self) -> str | None:
        """The type of its bits, if they alone make it."""
        adapted = self.adapter is not None and self.name in self.adapter.pairs
        return None if adapted else self.checkpoint.tensors[self.name].dtype

    def read(self, start: int, stop: int, out: Work) -> None:
        from merging import kernels

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


@dataclass
class Block:
    """Elements [start, stop) of a tensor. `rows` is (sources, elements): the models', or their task vectors.

    On a device the arrays are torch's tensors, which methods marked `device` hand to `stack.kernels` unseen."""

    start: int
    stop: int
    rows: Work
    base: Work
    out: Work
    whole: Work
    """`rows` with `base` after them."""


@dataclass(frozen=True)
class Stack:
    """One tensor of a merge: its sources (the base left out), its base, and what its draws depend on."""

    name: str
    shape: tuple[int, ...]
    sources: tuple[Slab, ...]
    base: Slab | None
    work: np.dtype[Any]
    seed: int = 0
    device: str | None = None
    """torch's name of the device on which blocks are computed; None: the compiled kernels."""
    statistics: tuple[Slab | None, ...] = field(default=())
    """What was gathered about each source (Fisher information: shape of the tensor; Gram matrix of the inputs)."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        """Elements of a row: of everything after the first axis; a vector is one row."""
        return self.size // max(1, self.shape[0]) if len(self.shape) > 1 else self.size

    @property
    def kernels(self) -> Any:
        """The module whose functions work on this stack's blocks."""
        return import_module("merging.kernels" if self.device is None else "merging.torch_kernels")

    def blocks(
        self, taus: bool, rows: bool, start: int = 0, stop: int | None = None, keep: bool = False
    ) -> Iterator[Block]:
        """All blocks of [start, stop). `taus`: sources minus base. `rows`: whole rows only.

        `keep`: this thread will go over them once more.
        """
        if self.device is not None:
            from merging.device import blocks_on

            yield from blocks_on(self, taus, start, self.size if stop is None else stop)
            return
        step = max(1, BLOCK // max(1, self.columns)) * self.columns if rows else BLOCK
        end = self.size if stop is None else stop
        for first in range(start, end, max(1, step)):
            last = min(first + step, end)
            count = last - first
            whole = scratch("rows", (len(self.sources) + 1) * count, self.work).reshape(-1, count)
            self._read(first, last, taus, whole, step if keep else 0)
            yield Block(first, last, whole[:-1], whole[-1], scratch("out", count, self.work), whole)

    @cached_property
    def bfloat16(self) -> bool:
        """All that is read is bfloat16 as it is stored."""
        kinds = [slab.as_stored if isinstance(slab, Plain) else None for slab in self._slabs]
        return self.work == np.float32 and kinds == ["BF16"] * len(kinds)

    @property
    def _slabs(self) -> tuple[Slab, ...]:
        return (*self.sources, self.base) if self.base is not None else self.sources

    def bits(self, first: int, last: int, keep: int = 0) -> NDArray[np.uint16]:
        """Elements [first, last) as they are stored, where all is bfloat16: (sources and base, elements).

        A buffer of the thread. `keep`: hold on to it for another pass, which goes by as many elements at a time.
        """
        slabs, size = self._slabs, len(self._slabs) * (last - first)
        mine = getattr(_kept, "stack", lambda: None)() is self
        if mine and (first, last) in _kept.ranges:
            return scratch("kept", last * len(slabs), np.uint16)[-size:].reshape(len(slabs), -1)
        if not keep or 2 * self.size * len(slabs) > KEPT or (mine and _kept.step != keep):
            return self._read_bits(first, scratch("bits", size, np.uint16).reshape(len(slabs), -1))
        if not mine:
            _kept.stack, _kept.step, _kept.ranges = weakref.ref(self), keep, set()
        room = scratch("kept", self.size * len(slabs), np.uint16)[first * len(slabs) : last * len(slabs)]
        raw = self._read_bits(first, room.reshape(len(slabs), -1))
        _kept.ranges.add((first, last))
        return raw

    def _read_bits(self, first: int, raw: NDArray[np.uint16]) -> NDArray[np.uint16]:
        for row, slab in zip(raw, self._slabs, strict=True):
            assert isinstance(slab, Plain)
            slab.checkpoint.read_into(slab.name, first, row)
        return raw

    def _read(self, first: int, last: int, taus: bool, whole: Work, keep: int) -> None:
        """The sources and the base below them; `taus`: the sources minus the base."""
        from merging import kernels

        taus = taus and self.base is not None
        rows = whole[: len(self._slabs)]
        if self.bfloat16:
            raw = self.bits(first, last, keep)
            bad = kernels.decode_taus(raw, rows) if taus else kernels.decode_bf16(raw.reshape(-1), rows.reshape(-1))
            if not bad:
                return
        # One by one: whoever holds a number that is none says so.
        for row, slab in zip(rows, self._slabs, strict=True):
            slab.read(first, last, row)
        if taus:
            kernels.subtract(rows[:-1], rows[-1])

    def key(self, source: int) -> np.uint64:
        """What the random draws for one source's tensor start from."""
        text = f"{self.seed}/{source}/{self.name}".encode()
        return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

    def array(self, values: Sequence[float]) -> Work:
        return np.array(values, dtype=self.work)


LINE = 64
"""Bytes of a line of the processor's cache."""
_buffers, _kept, _adapters = threading.local(), threading.local(), threading.local()


def scratch(name: str, size: int, dtype: Any) -> NDArray[Any]:
    """`size` elements of the thread's buffer of that name: overwritten by whoever asks next. It begins with a line of
    the cache: vectors that cross two lines take twice as long."""
    held: dict[str, NDArray[Any]] = _buffers.__dict__
    key = name + np.dtype(dtype).str
    if key not in held or held[key].size < size:
        wanted = max(size, BLOCK) * np.dtype(dtype).itemsize
        memory = np.empty(wanted + LINE, np.uint8)
        first = -memory.ctypes.data % LINE
        held[key] = memory[first : first + wanted].view(dtype)
    return held[key][:size]


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


def widen(raw: NDArray[Any], kind: str, dtype: np.dtype[Any]) -> Work:
    """Bits as stored (safetensors type `kind`) -> numbers."""
    if kind == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(dtype)
    return raw.astype(dtype)
