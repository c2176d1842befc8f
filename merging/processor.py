"""Merging on the processor's cores: blocks are widened and merged by the compiled kernels.

Where all sources are bfloat16, a thread may hold on to their bits for its next pass, and a weighted sum goes from bits
to bits.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging import bfloat16, kernels
from merging.buffers import BLOCK, Work, scratch
from merging.checkpoint import STORAGE, CheckpointError
from merging.slab import Plain
from merging.stack import Block, Kernels, Stack

SPAN = 1 << 22
"""Elements of two models that are asked into memory at a time: of few calls, threads wait less for the interpreter."""
KEPT = 1 << 25
"""Bytes of a tensor's sources that a thread holds for its next pass over them."""

_kept = threading.local()


class Processor:
    """The `merging.stack.Backend` of NumPy arrays and compiled kernels."""

    @property
    def kernels(self) -> Kernels:
        """The compiled kernels."""
        return kernels

    def blocks(
        self, stack: Stack, taus: bool, rows: bool, start: int, stop: int, keep: bool = False
    ) -> Iterator[Block]:
        """`Stack.blocks` in NumPy arrays."""
        step = max(1, BLOCK // max(1, stack.columns)) * stack.columns if rows else BLOCK
        for first in range(start, stop, max(1, step)):
            last = min(first + step, stop)
            count = last - first
            whole = scratch("rows", (len(stack.sources) + 1) * count, stack.work).reshape(-1, count)
            _read(stack, first, last, taus, whole, step if keep else 0)
            yield Block(first, last, whole[:-1], whole[-1], scratch("out", count, stack.work), whole)

    def encoded(self, values: NDArray[Any], dtype: str) -> NDArray[Any]:
        """See `encoded`."""
        return encoded(values, dtype)


def encoded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """`values` (elements,) rounded once to the safetensors type `dtype`, as stored bits in a buffer of the thread."""
    if dtype == "BF16":
        bits = scratch("encoded", values.size, np.uint16)
        bfloat16.encode_bf16(values.astype(np.float32, copy=False), bits)
        return bits
    with np.errstate(over="ignore"):
        return values.astype(STORAGE[dtype])


def all_bfloat16(stack: Stack) -> bool:
    """True if all that is read is bfloat16 as it is stored."""
    return stack.work == np.float32 and all(
        isinstance(slab, Plain) and slab.as_stored == "BF16" for slab in stack.slabs
    )


def can_sum_bits(stack: Stack, weights: Work, dtype: str) -> bool:
    """True if a weighted sum of all slabs reads and writes bfloat16 alone, and NaN is an error."""
    allowed = any(isinstance(slab, Plain) and slab.allow_nan for slab in stack.slabs)
    return all_bfloat16(stack) and dtype == "BF16" and weights.size == len(stack.slabs) and not allowed


def summed_bits(
    stack: Stack, weights: Work, divisor: Work, start: int, stop: int
) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """(first element, bits) of each block of sum_k weights[k] slab_k / divisor[0], without float32 arrays between.

    Raises `CheckpointError` naming the first element that is not a finite number, or the tensor whose result is none.
    """
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        bits = scratch("encoded", last - first, np.uint16)
        if (first - start) % SPAN == 0:
            origin, pair = first, _pair(stack, first, min(first + SPAN, stop))
        if pair:
            one, other = (row[first - origin : last - origin] for row in pair)
            broken = bfloat16.weighted_pair(one, other, weights, divisor, bits)
        else:
            broken = bfloat16.weighted_sum_bf16(_bits(stack, first, last), weights, divisor, bits)
        if broken:
            for _ in stack.blocks(False, False, first, last):
                raise CheckpointError(f"tensor {stack.name!r}: the result is beyond 3e38: smaller parameters?")
        if pair and (last == stop or (last - start) % SPAN == 0):
            _let_go(stack, start, last)
        yield first, bits


def gram_of_bits(stack: Stack, taus: bool, with_base: bool) -> NDArray[np.float64] | None:
    """Inner products of the sources (of their task vectors), the base last if wanted, without float32 arrays between;
    None where not all is bfloat16, or not all finite."""
    if not isinstance(stack.backend, Processor) or not all_bfloat16(stack):
        return None
    taus = taus and stack.base is not None
    count = len(stack.sources) + with_base
    found = np.zeros((count, count))
    for span in range(0, stack.size, SPAN):
        end = min(span + SPAN, stack.size)
        if count == 2 and (pair := _pair(stack, span, end)):
            bfloat16.gram_pair(*pair, found)
            if 2 * stack.size * len(stack.slabs) > KEPT:  # else the next pass finds them there
                _let_go(stack, 0, end)
            continue
        for first in range(span, end, BLOCK):
            part = np.zeros((count, count))
            bfloat16.gram_bf16(_bits(stack, first, min(first + BLOCK, end), BLOCK), taus, part)
            found += part
    return found if np.isfinite(found).all() else None


def _read(stack: Stack, first: int, last: int, taus: bool, whole: Work, keep: int) -> None:
    """The sources and the base below them; `taus`: the sources minus the base."""
    taus = taus and stack.base is not None
    rows = whole[: len(stack.slabs)]
    if all_bfloat16(stack):
        raw = _bits(stack, first, last, keep)
        bad = bfloat16.decode_taus(raw, rows) if taus else bfloat16.decode_bf16(raw.reshape(-1), rows.reshape(-1))
        if not bad:
            return
    # Slab by slab, so that the error names the tensor and the element that is not a finite number.
    for row, slab in zip(rows, stack.slabs, strict=True):
        slab.read(first, last, row)
    if taus:
        kernels.subtract(rows[:-1], rows[-1])


def _pair(stack: Stack, first: int, last: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]] | None:
    """Elements [first, last) of two models where they lie in memory: copied they would take half of slerp's time."""
    found = []
    for slab in stack.slabs if len(stack.slabs) == 2 else ():
        assert isinstance(slab, Plain)
        row = slab.checkpoint.in_place(slab.name, first, last)
        if row is None:
            return None
        found.append(row)
    return (found[0], found[1]) if found else None


def _let_go(stack: Stack, first: int, last: int) -> None:
    """Of what was read so far: with a page the system brings its neighbours, also those before it, in again."""
    for slab in stack.slabs:
        assert isinstance(slab, Plain)
        slab.checkpoint.let_go(slab.name, first, last)


def _bits(stack: Stack, first: int, last: int, keep: int = 0) -> NDArray[np.uint16]:
    """Elements [first, last) as they are stored, where all is bfloat16: (sources and base, elements).

    A buffer of the thread. `keep`: hold on to it for another pass, which goes by as many elements at a time.
    """
    size = len(stack.slabs) * (last - first)
    mine = getattr(_kept, "stack", lambda: None)() is stack
    if mine and (first, last) in _kept.ranges:
        return scratch("kept", last * len(stack.slabs), np.uint16)[-size:].reshape(len(stack.slabs), -1)
    if not keep or 2 * stack.size * len(stack.slabs) > KEPT or (mine and _kept.step != keep):
        return _read_bits(stack, first, scratch("bits", size, np.uint16).reshape(len(stack.slabs), -1))
    if not mine:
        _kept.stack, _kept.step, _kept.ranges = weakref.ref(stack), keep, set()
    place = slice(first * len(stack.slabs), last * len(stack.slabs))
    room = scratch("kept", stack.size * len(stack.slabs), np.uint16)[place]
    raw = _read_bits(stack, first, room.reshape(len(stack.slabs), -1))
    _kept.ranges.add((first, last))
    return raw


def _read_bits(stack: Stack, first: int, raw: NDArray[np.uint16]) -> NDArray[np.uint16]:
    for row, slab in zip(raw, stack.slabs, strict=True):
        assert isinstance(slab, Plain)
        slab.checkpoint.read_into(slab.name, first, row)
    return raw
