"""How alike models are: the cosine of all pairs, from one pass over the files.

Model-GLUE (https://arxiv.org/abs/2410.05357, section 4.1): over every tensor of attention and MLP, the cosine of
each column (of the matrix as stored, [out, in]: all rows for one input), averaged over columns, then tensors. Here
the products of all pairs are summed at once, so that no file is read twice. LoRA adapters are never
multiplied out: the products of B_i A_i with a matrix, and with each other, follow from their factors. An adapter that
does more (DoRA, trained rows, whole modules, Conv1D) is added to its base block by block, and compared as a checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merging.adapter import Adapter
from merging.buffers import widen
from merging.checkpoint import Checkpoint
from merging.columns import Products, SimilarityError, products, read_ahead
from merging.decoded import DecodedCheckpoint
from merging.stream import Model

Array = NDArray[np.float64]
PARTS = ("self_attn", "mlp")
"""The paper's choice of tensors. Where no name has either, every matrix counts."""


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
    for checkpoint, adapter in models:
        held = {info.name: info.shape for info in checkpoint.tensors.values()}
        changes = adapter.changes if adapter else {}
        held |= {name: change.whole.shape for name, change in changes.items() if change.whole}
        shapes = frozenset(held.items())
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
        CheckpointError: an adapter over a base that cannot be decoded.
    """
    bases = list(bases) if bases is not None else [None] * len(models)
    if len(bases) != len(models):
        raise SimilarityError(f"{len(bases)} bases for {len(models)} models: give one each")
    kinds = families(models)
    models = [_dense(model) for model in models]
    values = np.full((len(models), len(models)), np.nan)
    compared = 0
    for kind in range(max(kinds, default=-1) + 1):
        members = [index for index, other in enumerate(kinds) if other == kind]
        found, count = _family([models[index] for index in members], [bases[index] for index in members], threads)
        values[np.ix_(members, members)] = found
        compared += count
    return Similarity(values, kinds, compared)


def _dense(model: Model) -> Model:
    """The model; as a checkpoint of its own where its adapter does more than add products of factors."""
    checkpoint, adapter = model
    if adapter is None or adapter.low_rank_only:
        return model
    return DecodedCheckpoint(checkpoint, adapter), None


def _family(models: Sequence[Model], bases: Sequence[Checkpoint | None], threads: int | None) -> tuple[Array, int]:
    """[models, models] cosines of one family, and the number of tensors they are averaged over."""
    from threadpoolctl import threadpool_limits

    import merging.similarity_kernel  # noqa: F401 - compiled before threads ask for it

    layout = _Layout.of(models, bases)
    names = _names(models[0][0])
    count = threads or os.cpu_count() or 1

    def one(place: int) -> Array | None:
        for ahead in names[place + count : place + count + 1] if place else names[: count + 1]:
            read_ahead(layout.dense, ahead)
        return _tensor(layout, names[place])

    # A thread a tensor: the many small products of factors would spend their time waiting for BLAS's own threads.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(count) as pool:
        found = [tensor for tensor in pool.map(one, range(len(names))) if tensor is not None]
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
    from merging.similarity_kernel import add_cosines

    factors = [_factors(adapter, name) for adapter in layout.adapters]
    with np.errstate(over="ignore", invalid="ignore"):
        gram = _gram(layout, name, factors)
    if gram is None:
        return None
    totals, counts = np.zeros(gram.shape[:2]), np.zeros(gram.shape[:2])
    bad = add_cosines(gram, totals, counts)
    if bad >= 0:
        raise SimilarityError(f"tensor {name!r} of {_source(layout, bad)}: NaN, infinity or overflow in it")
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan) if counts.any() else None


def _gram(layout: _Layout, name: str, factors: Sequence[_Factors | None]) -> Array | None:
    """[models, models, columns], i >= j: products of all pairs, summed over rows; None if all models are zero here."""
    ups = [one.up if one else None for one in factors]
    found = products(layout.dense, name, ups) if layout.dense else Products(np.zeros((0, 0, 0)), {})
    if not any(factors) and layout.term == tuple(range(len(layout.dense))):
        return found.pairs
    columns = max([found.pairs.shape[2], *(one.down.shape[1] for one in factors if one)])
    if not columns:
        return None
    gram = np.zeros((len(factors), len(factors), columns))
    for i, j in zip(*np.tril_indices(len(factors)), strict=True):
        total = gram[i, j]
        a, b, left, right = layout.term[i], layout.term[j], factors[i], factors[j]
        if a is not None and b is not None:
            total += found.pairs[max(a, b), min(a, b)]
        if a is not None and right is not None:
            total += (found.cross[a, j] * right.down).sum(0)
        if b is not None and left is not None:
            total += (found.cross[b, i] * left.down).sum(0)
        if left is not None and right is not None:
            total += (left.down.astype(np.float64) * ((left.up.T @ right.up) @ right.down)).sum(0)
    return gram


def _factors(adapter: Adapter | None, name: str) -> _Factors | None:
    if adapter is None or name not in adapter.pairs:
        return None
    down, up, scale = adapter.arrays(name)
    pair = adapter.pairs[name]
    wide = [widen(array, kind, np.dtype(np.float32)) for array, kind in ((down, pair.down.dtype), (up, pair.up.dtype))]
    return _Factors(wide[1] * np.float32(scale), wide[0])


def _source(layout: _Layout, index: int) -> str:
    adapter, term = layout.adapters[index], layout.term[index]
    if adapter is not None:
        return str(adapter.folder)
    return str(layout.dense[term][0].folder) if term is not None else "its base"
