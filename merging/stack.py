"""One tensor of several models, seen together: a block of elements at a time, widened to float32.

A `Slab` is one model's tensor, whatever it is made of; a `Stack` is what a merge method works on; a `Backend` is where
its blocks are read and computed: the processor's cores (`merging.processor`) or one of torch's devices
(`merging.device`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work

Numbers = Any
"""A block's array: NumPy's on the processor, a torch tensor on a device."""


class Slab(Protocol):
    """A tensor that can be read by ranges of elements, in the order of memory."""

    @property
    def label(self) -> str:
        """The tensor's file and name, for errors."""

    def read(self, start: int, stop: int, out: Work) -> None:
        """Widen elements [start, stop) into `out`, shape (stop - start,). Raises `CheckpointError` where they are not
        finite numbers."""


class Kernels(Protocol):
    """The inner loops that every backend has; `merging.kernels` says what each one does, and the arrays' shapes."""

    LANES: int

    def weighted_sum(self, rows: Numbers, weights: Work, divisor: Work, out: Numbers) -> None:
        """out = sum_k weights[k] rows[k] / divisor[0]."""

    def shifted_sum(self, base: Numbers, taus: Numbers, weights: Work, out: Numbers) -> None:
        """out = base + sum_k weights[k] taus[k]."""

    def subtract(self, rows: Numbers, base: Numbers) -> None:
        """rows[k] -= base."""

    def add_gram(self, rows: Numbers, out: NDArray[np.float64]) -> None:
        """out[j, k] += rows[j] . rows[k], in float64."""

    def add_absolute(self, rows: Numbers, out: NDArray[np.float64]) -> None:
        """out[k] += sum |rows[k]|, in float64."""

    def count_high(self, rows: Numbers, out: NDArray[np.uint32], longer: NDArray[np.uint32]) -> None:
        """Count magnitudes by their upper 15 bits: out (rows, LANES, bins), longer (rows, bins)."""

    def count_low(self, row: Numbers, high: int, out: NDArray[np.uint32]) -> None:
        """Count magnitudes with the upper bits `high` by their lower 16 bits: out (LANES, bins)."""

    def scale_rows(self, rows: Numbers, factors: Work) -> None:
        """rows[k] *= factors[k]."""

    def keep_between(self, row: Numbers, low: np.float32, high: np.float32) -> None:
        """Zero what is smaller in magnitude than `low` or larger than `high`."""

    def drop(self, row: Numbers, key: np.uint64, start: int, keep: int, scale: Work) -> None:
        """Keep each element with probability keep / 2^24, times scale[0]; zero the rest."""

    def consensus(
        self, base: Numbers, taus: Numbers, weights: NDArray[np.float64], divide: bool, scale: Work, out: Numbers
    ) -> None:
        """out = base + scale[0] * the sum of weights[k] taus[k] that agree with the whole sum's sign."""

    def near_swap(self, base: Numbers, row: Numbers, t: Work, out: Numbers) -> None:
        """out = base + (row - base) * min(1, t / |row - base|)."""


@dataclass
class Block:
    """Elements [start, stop) of a tensor, in buffers that the next block overwrites.

    On a device the arrays are torch's tensors, which methods marked `device` hand to `stack.kernels` unseen.
    """

    start: int
    stop: int
    rows: Work
    """The sources, or their task vectors: (sources, elements)."""
    base: Work
    """The base: (elements,)."""
    out: Work
    """The result, written by the method: (elements,)."""
    whole: Work
    """`rows` with `base` after them: (sources + 1, elements)."""


class Backend(Protocol):
    """Where blocks are read and computed."""

    @property
    def kernels(self) -> Kernels:
        """The inner loops for this backend's arrays."""

    def blocks(
        self, stack: Stack, taus: bool, rows: bool, start: int, stop: int, keep: bool = False
    ) -> Iterator[Block]:
        """`Stack.blocks` of elements [start, stop)."""

    def encoded(self, values: Numbers, dtype: str) -> NDArray[Any]:
        """`values` (elements,), rounded once to the safetensors type `dtype`, as stored bits."""


@dataclass(frozen=True)
class Stack:
    """One tensor of a merge: its sources (the base left out), its base, and what its draws depend on."""

    name: str
    shape: tuple[int, ...]
    sources: tuple[Slab, ...]
    base: Slab | None
    work: np.dtype[Any]
    backend: Backend
    seed: int = 0
    statistics: tuple[Slab | None, ...] = field(default=())
    """What was gathered about each source (Fisher information: shape of the tensor; Gram matrix of the inputs)."""

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        """Elements of a row: of everything after the first axis; a vector is one row."""
        return self.size // max(1, self.shape[0]) if len(self.shape) > 1 else self.size

    @property
    def slabs(self) -> tuple[Slab, ...]:
        """The sources, and the base last where there is one."""
        return (*self.sources, self.base) if self.base is not None else self.sources

    @property
    def kernels(self) -> Kernels:
        """The inner loops that work on this stack's blocks."""
        return self.backend.kernels

    def blocks(
        self, taus: bool, rows: bool, start: int = 0, stop: int | None = None, keep: bool = False
    ) -> Iterator[Block]:
        """All blocks of elements [start, stop).

        `taus`: sources minus base. `rows`: whole rows only. `keep`: this thread will go over them once more.
        Raises `CheckpointError` where a source holds what is not a finite number.
        """
        return self.backend.blocks(self, taus, rows, start, self.size if stop is None else stop, keep)

    def key(self, source: int) -> np.uint64:
        """What the random draws for one source's tensor start from."""
        text = f"{self.seed}/{source}/{self.name}".encode()
        return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))

    def array(self, values: Sequence[float]) -> Work:
        """`values` in the type that is computed with: (values,)."""
        return np.array(values, dtype=self.work)
