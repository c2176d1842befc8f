"""How alike models are: the cosine of all pairs, from one pass over the files.

Model-GLUE (https://arxiv.org/abs/2410.05357, section 4.1): over every tensor of attention and MLP, the cosine of
each column (of the matrix as stored, [out, in]: all rows for one input), averaged over columns, then tensors. Here
the products of all pairs are summed at once, so that no file is read twice. LoRA adapters are never
multiplied out: the products of B_i A_i with a matrix, and with each other, follow from their factors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import Adapter, Checkpoint
from merging.stream import Model

Array = NDArray[np.float64]
PARTS = ("self_attn", "mlp")
"""The paper's choice of tensors. Where no name has either, every matrix counts."""
BLOCK_BYTES = 1 << 20
FLOATS = ("F64", "F32", "F16", "BF16")


class SimilarityError(ValueError):
    """Models that cannot be compared; the message names the tensor and the file."""


@dataclass(frozen=True)
class Similarity:
    """`values[i, j]` is the cosine of models i and j, in -1..1; NaN where architecture or shapes differ."""

    values: Array
    families: tuple[int, ...]
    """Models of one number have the same architecture and the same tensors."""
    tensors: int
    """How many tensors were compared, over all families."""


def families(models: Sequence[Model]) -> tuple[int, ...]:
    """A number a model, the same for those of one `architectures` with tensors of the same names and shapes."""
    seen: dict[object, int] = {}
    kinds = []
    for checkpoint, _ in models:
        shapes = frozenset((info.name, info.shape) for info in checkpoint.tensors.values())
        kinds.append((str(checkpoint.config.get("architectures")), shapes))
    return tuple(seen.setdefault(kind, len(seen)) for kind in kinds)


def similarity(
    models: Sequence[Model], bases: Sequence[Checkpoint | None] | None = None, *, threads: int | None = None
) -> Similarity:
    """Cosines of all pairs of models.

    `bases`, one a model: what is subtracted first, so that task vectors are compared instead of weights (None:
    nothing). A column in which both models are zero is left out of the pair's average; in which one is, counts 0.

    Raises:
        SimilarityError: a base of another shape; a tensor that is not a float, or holds NaN or infinity.
    """
    bases = list(bases) if bases is not None else [None] * len(models)
    if len(bases) != len(models):
        raise SimilarityError(f"{len(bases)} bases for {len(models)} models: give one each")
    kinds = families(models)
    values = np.full((len(models), len(models)), np.nan)
    compared = 0
    for kind in range(max(kinds, default=-1) + 1):
        members = [index for index, other in enumerate(kinds) if other == kind]
        found, count = _family([models[index] for index in members], [bases[index] for index in members], threads)
        values[np.ix_(members, members)] = found
        compared += count
    return Similarity(values, kinds, compared)


def _family(models: Sequence[Model], bases: Sequence[Checkpoint | None], threads: int | None) -> tuple[Array, int]:
    """[models, models] cosines of one family, and the number of tensors they are averaged over."""
    from threadpoolctl import threadpool_limits

    from merging.similarity_kernel import compiled

    compiled()
    layout = _Layout.of(models, bases)
    names = _names(models[0][0])
    # A thread a tensor: the many small products of factors would spend their time waiting for BLAS's own threads.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        found = [tensor for tensor in pool.map(lambda name: _tensor(layout, name), names) if tensor is not None]
    total, weight = np.zeros((len(models), len(models))), np.zeros((len(models), len(models)))
    for cosines in found:
        known = ~np.isnan(cosines)
        total += np.where(known, cosines, 0)
        weight += known
    # Two models that change nothing anywhere are the same model.
    return np.where(weight > 0, total / np.maximum(weight, 1), 1.0), len(names)


@dataclass(frozen=True)
class _Layout:
    """Each model as at most one dense term (a checkpoint, less a base) and at most one adapter."""

    dense: tuple[tuple[Checkpoint, Checkpoint | None], ...]
    """Distinct dense terms: what, and what is subtracted from it."""
    term: tuple[int | None, ...]
    """Model -> its dense term; None: it is its own base."""
    adapters: tuple[Adapter | None, ...]

    @classmethod
    def of(cls, models: Sequence[Model], bases: Sequence[Checkpoint | None]) -> _Layout:
        dense: dict[tuple[int, int], tuple[Checkpoint, Checkpoint | None]] = {}
        term: list[int | None] = []
        for (checkpoint, _), base in zip(models, bases, strict=True):
            if base is not None and base.folder == checkpoint.folder:
                term.append(None)
                continue
            dense.setdefault((id(checkpoint), id(base)), (checkpoint, base))
            term.append(list(dense).index((id(checkpoint), id(base))))
        return cls(tuple(dense.values()), tuple(term), tuple(adapter for _, adapter in models))


@dataclass(frozen=True)
class _Factors:
    """An adapter's term of one tensor: up @ down, the scale in `up`. [rows, rank], [rank, columns]."""

    up: NDArray[np.float32]
    down: NDArray[np.float32]


def _names(checkpoint: Checkpoint) -> list[str]:
    names = [name for name in checkpoint.tensors if any(part in name for part in PARTS)]
    return names or [name for name, info in checkpoint.tensors.items() if len(info.shape) > 1]


def _tensor(layout: _Layout, name: str) -> Array | None:
    """[models, models] mean cosine over the columns of one tensor; NaN where both have only zeros, None where all."""
    factors = [_factors(adapter, name) for adapter in layout.adapters]
    with np.errstate(over="ignore", invalid="ignore"):
        gram = _gram(layout, name, factors)
    if gram is None:
        return None
    squares = np.einsum("iic->ic", gram).copy()
    for index, finite in enumerate(np.isfinite(squares).all(1)):
        if not finite:
            raise SimilarityError(f"tensor {name!r} of {_source(layout, index)}: NaN, infinity or overflow in it")
    norms = np.sqrt(np.maximum(squares, 0))
    products = norms[:, None] * norms[None]
    cosines = np.divide(gram, products, out=np.zeros_like(gram), where=products > 0)
    either = (norms[:, None] > 0) | (norms[None] > 0)
    count = either.sum(-1)
    mean = np.where(count > 0, np.clip(cosines, -1, 1).sum(-1) / np.maximum(count, 1), np.nan)
    return mean if count.any() else None


def _gram(layout: _Layout, name: str, factors: Sequence[_Factors | None]) -> Array | None:
    """[models, models, columns]: the products of all pairs, summed over rows; None if every model is zero here."""
    used = sorted({term for term in layout.term if term is not None})
    if not used and not any(factors):
        return None
    models = len(layout.term)
    dense, cross = _dense(layout, name, used, factors)
    columns = dense.shape[-1] if used else next(one.down.shape[1] for one in factors if one)
    gram = np.zeros((models, models, columns))
    for i in range(models):
        for j in range(i + 1):
            total = np.zeros(columns)
            a, b, left, right = layout.term[i], layout.term[j], factors[i], factors[j]
            if a is not None and b is not None:
                total += dense[a, b]
            if a is not None and right is not None:
                total += (cross[a, j] * right.down).sum(0)
            if b is not None and left is not None:
                total += (cross[b, i] * left.down).sum(0)
            if left is not None and right is not None:
                total += (left.down.astype(np.float64) * ((left.up.T @ right.up) @ right.down)).sum(0)
            gram[i, j] = gram[j, i] = total
    return gram


def _dense(
    layout: _Layout, name: str, used: Sequence[int], factors: Sequence[_Factors | None]
) -> tuple[Array, dict[tuple[int, int], Array]]:
    """Products of dense terms, [terms, terms, columns], and of each dense term with each adapter's `up`,
    [rank, columns]; the files are read here, once, a block of rows at a time."""
    from merging.similarity_kernel import LANES, add_products

    if not used:
        return np.zeros((0, 0, 0)), {}
    columns = _matrix(layout.dense[used[0]][0], name).shape[1]
    pairs = np.zeros((len(used) * (len(used) + 1) // 2, columns))
    scratch = np.empty(LANES, np.float32)
    cross = {
        (term, index): np.zeros((one.down.shape[0], columns))
        for term in used
        for index, one in enumerate(factors)
        if one
    }
    for start, block in _blocks([layout.dense[term] for term in used], name):
        add_products(block, pairs, scratch)
        for (term, index), total in cross.items():
            one = factors[index]
            assert one is not None
            total += one.up[start : start + block.shape[1]].T @ block[used.index(term)]
    products = np.zeros((max(used) + 1, max(used) + 1, columns))
    place = iter(pairs)
    for i, left in enumerate(used):
        for right in used[: i + 1]:
            products[left, right] = products[right, left] = next(place)
    return products, cross


def _blocks(
    terms: Sequence[tuple[Checkpoint, Checkpoint | None]], name: str
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, fp32 [terms, rows, columns]) through the tensor; the buffer is used again."""
    matrices = [(_matrix(one, name), None if base is None else _matrix(base, name)) for one, base in terms]
    rows, columns = matrices[0][0].shape
    for matrix, base in matrices:
        if base is not None and base.shape != matrix.shape:
            raise SimilarityError(f"tensor {name!r}: the base has shape {base.shape}, the model {matrix.shape}")
    step = max(4, BLOCK_BYTES // (4 * columns * len(matrices)))
    buffer = np.empty((len(matrices), min(step, rows), columns), np.float32)
    other = np.empty(buffer.shape[1:], np.float32)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        block = buffer[:, : stop - start]
        for place, (matrix, base) in enumerate(matrices):
            _widened(matrix[start:stop], block[place])
            if base is not None:
                _widened(base[start:stop], other[: stop - start])
                block[place] -= other[: stop - start]
        yield start, block


def _widened(values: NDArray[np.generic], out: NDArray[np.float32]) -> None:
    from merging.similarity_kernel import widen

    if values.dtype == np.uint16:
        widen(values, out.view(np.uint32))
    else:
        out[...] = values


def _matrix(checkpoint: Checkpoint, name: str) -> NDArray[np.generic]:
    """The tensor as [rows, columns]; a vector (a bias, a norm) is one column."""
    info = checkpoint.tensors.get(name)
    if info is None or info.dtype not in FLOATS:
        has = "is missing" if info is None else f"is {info.dtype}, not a float"
        raise SimilarityError(f"{checkpoint.folder}: tensor {name!r} {has}")
    array = checkpoint.array(name)
    return array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(-1, 1)


def _factors(adapter: Adapter | None, name: str) -> _Factors | None:
    if adapter is None or name not in adapter.pairs:
        return None
    down, up, scale = adapter.arrays(name)
    wide = [np.empty(array.shape, np.float32) for array in (down, up)]
    for array, out in zip((down, up), wide, strict=True):
        _widened(array, out)
    return _Factors(wide[1] * np.float32(scale), wide[0])


def _source(layout: _Layout, index: int) -> str:
    adapter, term = layout.adapters[index], layout.term[index]
    if adapter is not None:
        return str(adapter.folder)
    return str(layout.dense[term][0].folder) if term is not None else "its base"
