"""Products of the columns of many models' matrices, all pairs at once: each file is read once, some rows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import scratch, widen
from merging.checkpoint import STORAGE, Checkpoint

ROWS = 128
"""Rows at a time: so long are sums in fp32, and so high a strip of twelve models that the second-level cache holds."""
MAX_AHEAD = 1 << 28
"""Bytes of one tensor, over all models, that the kernel is asked to read before they are wanted."""
FLOATS = ("F64", "F32", "F16", "BF16")

Array = NDArray[np.float64]
Term = tuple[Checkpoint, Checkpoint | None]
"""A model, and what is subtracted from it."""


class SimilarityError(ValueError):
    """Models that cannot be compared; the message names the tensor and the file."""


@dataclass(frozen=True)
class Products:
    """`pairs[i, j]`, i >= j: of terms i and j, summed over rows, [columns]; `cross[t, f]`: of left factor f's columns
    with term t's, [rank, columns]."""

    pairs: Array
    cross: dict[tuple[int, int], Array]


def products(terms: Sequence[Term], name: str, factors: Sequence[NDArray[np.float32] | None]) -> Products:
    """The products of tensor `name` of all terms, with each other and with `factors` ([rows, rank], or None).

    `pairs` is a buffer of the thread: the next call overwrites it. Raises `SimilarityError` for a tensor that is not a
    float, or of another shape than its base.
    """
    from merging.similarity_kernel import AT_ONCE, LANES, STRIPS, add_products, add_products_bf16

    rows, columns = matrix_shape(terms[0][0], name)
    strips, padded = -(-columns // LANES), -(-len(terms) // AT_ONCE) * AT_ONCE
    sums = _zeros("sums", (padded, padded, strips * LANES), np.float64)
    block = _zeros("strips", (min(STRIPS, strips), padded, max(1, min(ROWS, rows)), LANES), np.float32)
    cross = {
        (term, index): np.zeros((factor.shape[1], columns))
        for term in range(len(terms))
        for index, factor in enumerate(factors)
        if factor is not None
    }
    as_bits = not cross and all(model.tensors[name].dtype == "BF16" and base is None for model, base in terms)
    for start, count, values in _blocks(terms, name, block.shape[2], as_bits):
        if as_bits:
            add_products_bf16(values, count, block, block.view(np.uint32), sums)
            continue
        add_products(values, count, block, sums)
        for (term, index), total in cross.items():
            factor = factors[index]
            assert factor is not None
            total += factor[start : start + count].T @ values[term, :count]
    return Products(sums[: len(terms), : len(terms), :columns], cross)


def matrix_shape(checkpoint: Checkpoint, name: str) -> tuple[int, int]:
    """(rows, columns) of a tensor; a vector (a bias, a norm) is one column. Raises `SimilarityError` for no float."""
    info = checkpoint.tensors.get(name)
    if info is None or info.dtype not in FLOATS:
        has = "is missing" if info is None else f"is {info.dtype}, not a float"
        raise SimilarityError(f"{checkpoint.folder}: tensor {name!r} {has}")
    return info.shape[0] if info.shape else 1, math.prod(info.shape[1:])


def read_ahead(terms: Sequence[Term], name: str) -> None:
    """Have the kernel read tensor `name` of all terms while something else is computed."""
    sources = {id(source): source for term in terms for source in term if source is not None and name in source.tensors}
    found = [source.tensors[name] for source in sources.values()]
    if not hasattr(os, "posix_fadvise") or sum(info.stop - info.start for info in found) > MAX_AHEAD:
        return
    for info in found:
        with info.file.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), info.start, info.stop - info.start, os.POSIX_FADV_WILLNEED)


def _blocks(terms: Sequence[Term], name: str, limit: int, as_bits: bool) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """(first row, rows, [terms, at least as many rows, columns]) through the tensor: fp32 numbers, or the files' bits.
    The array is used again."""
    rows, columns = matrix_shape(terms[0][0], name)
    for source in (source for term in terms for source in term if source is not None):
        if matrix_shape(source, name) != (rows, columns):
            has = f"has shape {matrix_shape(source, name)}, in {terms[0][0].folder} {(rows, columns)}"
            raise SimilarityError(f"{source.folder}: tensor {name!r} {has}")
    size = len(terms) * limit * columns
    values = scratch("columns", size, np.uint16 if as_bits else np.float32).reshape(len(terms), limit, columns)
    for start in range(0, rows, limit):
        count = min(limit, rows - start)
        less: tuple[Checkpoint, NDArray[Any]] | None = None
        for (model, base), out in zip(terms, values, strict=True):
            if as_bits:
                model.read_into(name, start * columns, out[:count])
                continue
            out[:count] = _numbers(model, name, start, count)
            if base is not None:
                if less is None or less[0] is not base:
                    less = base, _numbers(base, name, start, count)
                out[:count] -= less[1]
        yield start, count, values


def _zeros(name: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """In a buffer of the thread, since memory never touched before costs more than the sums: the next tensor's
    products overwrite it."""
    array = scratch(name, math.prod(shape), kind).reshape(shape)
    array[...] = 0
    return array


def _numbers(checkpoint: Checkpoint, name: str, start: int, count: int) -> NDArray[Any]:
    """Rows of a tensor, widened."""
    columns, kind = matrix_shape(checkpoint, name)[1], checkpoint.tensors[name].dtype
    raw = np.empty((count, columns), STORAGE[kind])
    checkpoint.read_into(name, start * columns, raw)
    return widen(raw, kind, np.dtype(np.float32))
