"""Products of the columns of many models' matrices, all pairs at once: each file is read once, some rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE, Checkpoint
from merging.stack import widen

ROWS, STRIP = 64, 256
"""Rows and columns at a time: a block of twelve models stays in the second-level cache; sums in fp32 are that long."""
MOST_AHEAD = 1 << 28
"""Bytes of one tensor, over all models, that the kernel is asked to read before they are wanted."""
FLOATS = ("F64", "F32", "F16", "BF16")

Array = NDArray[np.float64]
Term = tuple[Checkpoint, Checkpoint | None]
"""A model, and what is subtracted from it."""


class SimilarityError(ValueError):
    """Models that cannot be compared; the message names the tensor and the file."""


@dataclass(frozen=True)
class Products:
    """`pairs[:, i, j]`, i >= j: of terms i and j, summed over rows, for each column; `cross[t, f]`: of left factor f's
    columns with term t's, [rank, columns]."""

    pairs: Array
    cross: dict[tuple[int, int], Array]


def products(terms: Sequence[Term], name: str, factors: Sequence[NDArray[np.float32] | None]) -> Products:
    """The products of tensor `name` of all terms, with each other and with `factors` ([rows, rank], or None).

    Raises `SimilarityError` for a tensor that is not a float, or of another shape than its base.
    """
    from merging.similarity_kernel import AT_ONCE, add_products

    rows, columns = matrix_shape(terms[0][0], name)
    padded = -(-len(terms) // AT_ONCE) * AT_ONCE
    sums = np.zeros((columns, padded, padded))
    cross = {
        (term, index): np.zeros((factor.shape[1], columns))
        for term in range(len(terms))
        for index, factor in enumerate(factors)
        if factor is not None
    }
    for start, strip, block in _blocks(terms, name, padded):
        add_products(block, sums[strip])
        count = min(ROWS, rows - start)
        for (term, index), total in cross.items():
            factor = factors[index]
            assert factor is not None
            total[:, strip] += (block[:, term, :count] @ factor[start : start + count]).T
    return Products(sums[:, : len(terms), : len(terms)], cross)


def matrix_shape(checkpoint: Checkpoint, name: str) -> tuple[int, int]:
    """(rows, columns) of a tensor; a vector (a bias, a norm) is one column. Raises `SimilarityError` for no float."""
    info = checkpoint.tensors.get(name)
    if info is None or info.dtype not in FLOATS:
        has = "is missing" if info is None else f"is {info.dtype}, not a float"
        raise SimilarityError(f"{checkpoint.folder}: tensor {name!r} {has}")
    return info.shape[0], int(np.prod(info.shape[1:]))


def read_ahead(terms: Sequence[Term], name: str) -> None:
    """Have the kernel read tensor `name` of all terms while something else is computed."""
    sources = {id(source): source for term in terms for source in term if source is not None and name in source.tensors}
    found = [source.tensors[name] for source in sources.values()]
    if not hasattr(os, "posix_fadvise") or sum(info.stop - info.start for info in found) > MOST_AHEAD:
        return
    for info in found:
        with info.file.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), info.start, info.stop - info.start, os.POSIX_FADV_WILLNEED)


def _blocks(terms: Sequence[Term], name: str, padded: int) -> Iterator[tuple[int, slice, NDArray[np.float32]]]:
    """(first row, columns, fp32 [columns, padded, ROWS]) through the tensor, zeros where nothing is; one buffer."""
    rows, columns = matrix_shape(terms[0][0], name)
    models, bases = [model for model, _ in terms], list(dict.fromkeys(base for _, base in terms if base is not None))
    for source in (*models, *bases):
        if matrix_shape(source, name) != (rows, columns):
            has = f"has shape {matrix_shape(source, name)}, in {terms[0][0].folder} {(rows, columns)}"
            raise SimilarityError(f"{source.folder}: tensor {name!r} {has}")
    width = min(STRIP, columns)
    readers = _Rows(models, name), _Rows(bases, name)
    whole, less = np.zeros((width, padded, ROWS), np.float32), np.zeros((width, len(bases), ROWS), np.float32)
    for start in range(0, rows, ROWS):
        count = min(ROWS, rows - start)
        for reader in readers:
            reader.read(start, count)
        whole[:, :, count:] = 0
        for first in range(0, columns, STRIP):
            strip = slice(first, min(first + STRIP, columns))
            block = whole[: strip.stop - first]
            readers[0].turn(first, count, block)
            if bases:
                readers[1].turn(first, count, less[: len(block)])
            for place, (_, base) in enumerate(terms):
                if base is not None:
                    block[:, place, :count] -= less[: len(block), bases.index(base), :count]
            yield start, strip, block


class _Rows:
    """Some rows of one tensor of several models: as bfloat16's bits where all are that, else as fp32."""

    def __init__(self, sources: Sequence[Checkpoint], name: str) -> None:
        self._sources, self._name = sources, name
        rows, self._columns = matrix_shape(sources[0], name) if sources else (0, 0)
        self._bits = self._columns % 4 == 0 and all(source.tensors[name].dtype == "BF16" for source in sources)
        kind = np.uint16 if self._bits else np.float32
        self._raw = np.empty((len(sources), min(ROWS, rows), self._columns), kind)

    def read(self, start: int, count: int) -> None:
        for place, source in enumerate(self._sources):
            kind = source.tensors[self._name].dtype
            out = self._raw[place, :count]
            raw = out if out.dtype == STORAGE[kind] else np.empty(out.shape, STORAGE[kind])
            source.read_into(self._name, start * self._columns, raw)
            if raw is not out:
                out[:] = widen(raw, kind, out.dtype)

    def turn(self, first: int, count: int, out: NDArray[np.float32]) -> None:
        """The first `count` rows, columns from `first` on, to [columns, models, rows]."""
        from merging.similarity_kernel import turn, turn_bf16

        if self._bits:
            turn_bf16(self._raw.view(np.uint64), first // 4, count, out.view(np.uint32))
        else:
            turn(self._raw, first, count, out)
