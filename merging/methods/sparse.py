"""Task vectors thinned out before they are added: by magnitude, at random, or both; with or without a vote on signs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from merging import kernels as compiled
from merging.buffers import scratch
from merging.methods.linear import WEIGHT
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.methods.selection import largest
from merging.methods.task_vectors import SCALE, scaled
from merging.settings import RecipeError
from merging.stack import Block, Stack

DENSITY = Parameter("density", 1.0, each=True, minimum=0, maximum=1)
WHOLE = 1 << 24
"""The probability 1 of `kernels.drop`."""
Sparsify = Callable[[Block], None]
"""Zeroes (and rescales) entries of a block's task vectors, in place."""


def summed(stack: Stack, values: Values, thin: Sparsify) -> FinishBlock:
    """base + lambda sum w thinned(tau)."""
    kernels = stack.kernels
    factors = stack.array(scaled(values))

    def finish(block: Block) -> None:
        thin(block)
        kernels.shifted_sum(block.base, block.rows, factors, block.out)

    return finish


def elected(stack: Stack, values: Values, thin: Sparsify) -> FinishBlock:
    """base + lambda times the weighted sum of the thinned task vectors that agree with its sign (TIES, section 4)."""
    kernels = stack.kernels
    weights, scale = np.array(values.each["weight"]), stack.array([values.shared["lambda"]])
    divide = values.shared["normalize"]

    def finish(block: Block) -> None:
        thin(block)
        kernels.consensus(block.base, block.rows, weights, divide, scale, block.out)

    return finish


def by_magnitude(stack: Stack, values: Values) -> Sparsify:
    """Keep the `density` share of largest magnitudes of each source's tensor; equal magnitudes stay together."""
    keep = [max(1, int(density * stack.size)) if density > 0 else 0 for density in values.each["density"]]
    return _band(stack, values, [(0, count) for count in keep])


def without_outliers(stack: Stack, values: Values) -> Sparsify:
    """Drop the `gamma` share of largest magnitudes, then the smallest ones until the `density` share is left."""
    ranks = []
    for density, gamma in zip(values.each["density"], values.each["gamma"], strict=True):
        keep = int(density * stack.size)
        top = min(int(gamma * stack.size), stack.size - keep) if density < 1 else 0
        ranks.append((top, top + keep))
    return _band(stack, values, ranks)


def _band(stack: Stack, values: Values, ranks: list[tuple[int, int]]) -> Sparsify:
    """Keep the magnitudes whose rank lies in (ranks[k][0], ranks[k][1]]."""
    kernels = stack.kernels
    # Rank 0 is infinity: without outliers to drop there is no upper bound to look for.
    ends = [(first + 1 if first else 0, last) for first, last in ranks]
    if all(last >= stack.size and first == 0 for first, last in ranks):
        return lambda block: None
    bounds = largest(stack.kernels, lambda: (block.rows for block in stack.blocks(True, False, keep=True)), ends)

    def thin(block: Block) -> None:
        for row, (high, low), (first, last) in zip(block.rows, bounds, ranks, strict=True):
            if last <= first:
                row[:] = 0
            else:
                kernels.keep_between(row, low, high)

    return _rescaled(stack, values, thin) if values.shared.get("rescale") else thin


def at_random(stack: Stack, values: Values) -> Sparsify:
    """Keep each entry with probability `density`; rescaled by 1 / density (or to the former sum of magnitudes)."""
    kernels = stack.kernels
    densities = values.each["density"]
    expected = values.shared["rescale"] and values.shared["rescale_norm"] == "expected"
    keep = [round(density * WHOLE) for density in densities]
    scale = [stack.array([1 / density if expected and density > 0 else 1.0]) for density in densities]
    keys = [stack.key(source) for source in range(len(densities))]

    def thin(block: Block) -> None:
        for row, key, share, factor in zip(block.rows, keys, keep, scale, strict=True):
            if share < WHOLE:
                kernels.drop(row, key, block.start, share, factor)

    return thin if expected or not values.shared["rescale"] else _rescaled(stack, values, thin)


def by_rank(stack: Stack, values: Values) -> Sparsify:
    """Keep with a probability from density - epsilon (smallest magnitude of its row) to density + epsilon (largest);
    rescaled by its inverse (or to the former sum of magnitudes). Raises `RecipeError` where density +- epsilon
    leaves the range from 0 to 1."""
    expected = values.shared["rescale"] and values.shared["rescale_norm"] == "expected"
    keys = [stack.key(source) for source in range(len(stack.sources))]
    for density, epsilon in zip(values.each["density"], values.each["epsilon"], strict=True):
        if 0 < density < 1 and not epsilon < density < 1 - epsilon:
            raise RecipeError(
                f"density {density} +- epsilon {epsilon} must lie between 0 and 1 (tensor {stack.name!r})"
            )

    def thin(block: Block) -> None:
        for row, key, density, epsilon in zip(
            block.rows, keys, values.each["density"], values.each["epsilon"], strict=True
        ):
            if density == 0:
                row[:] = 0
            elif density < 1:
                chance = (density - epsilon) + 2 * epsilon * _rank_share(row, stack.columns)
                keep = np.round(chance * WHOLE).astype(np.uint32)
                scale = (1 / chance if expected else np.ones_like(chance)).astype(stack.work)
                compiled.drop_each(row, key, block.start, keep, scale)

    return thin if expected or not values.shared["rescale"] else _rescaled(stack, values, thin)


def _rank_share(row: NDArray[np.floating], columns: int) -> NDArray[np.float64]:
    """For each element its magnitude's place in its row of the matrix, from 0 (smallest) to 1; equal ones in order."""
    magnitudes = (row.astype(np.float32).view(np.uint32) & np.uint32(0x7FFFFFFF)).astype(np.uint64)
    keys = (magnitudes.reshape(-1, columns) << np.uint64(32)) | np.arange(columns, dtype=np.uint64)
    keys.sort(axis=1)
    order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    share = np.empty(order.shape)
    np.put_along_axis(share, order, np.arange(columns) / max(1, columns - 1), axis=1)
    return share.reshape(-1)


def _rescaled(stack: Stack, values: Values, thin: Sparsify) -> Sparsify:
    """Thin, then restore each tensor's sum of magnitudes: one more pass over it."""
    kernels = stack.kernels
    before, after = np.zeros(len(stack.sources)), np.zeros(len(stack.sources))
    for block in stack.blocks(True, rows=True, keep=True):
        kernels.add_absolute(block.rows, before)
        thin(block)
        kernels.add_absolute(block.rows, after)
    factors = np.where((before < 1e-7) | (after < 1e-7), 1.0, before / np.where(after > 0, after, 1)).astype(stack.work)

    def finish(block: Block) -> None:
        thin(block)
        kernels.scale_rows(block.rows, factors)

    return finish


def sce(stack: Stack, values: Values) -> FinishBlock:
    """Select the entries with the largest variance over the sources, weigh sources by their mean squares there, erase
    what disagrees with the sign of the sum."""
    kernels = stack.kernels
    share = values.shared["select_topk"]
    bound: float | None = None
    if share < 1:
        varied = sum(int(np.count_nonzero(_variance(block))) for block in stack.blocks(True, False, keep=True))
        keep = int(varied * share)

        def sweep() -> Iterator[NDArray[np.float32]]:
            return (_variance(block)[None].astype(np.float32) for block in stack.blocks(True, False, keep=True))

        bound = float(largest(stack.kernels, sweep, [[keep]])[0, 0])
    squares = np.zeros(len(stack.sources))

    def select(block: Block) -> None:
        if bound is not None:
            block.rows *= _variance(block).astype(np.float32) >= np.float32(bound)

    for block in stack.blocks(True, False, keep=True):
        select(block)
        squares += np.einsum("ki,ki->k", block.rows, block.rows, dtype=np.float64)
    weights = squares / squares.sum() if squares.sum() > 0 else np.full(len(squares), 1 / len(squares))
    factors, one = stack.array(weights.tolist()), stack.array([1.0])

    def finish(block: Block) -> None:
        select(block)
        signs = block.rows.sum(axis=0, dtype=np.float64) >= 0
        agree = np.where(signs, block.rows > 0, block.rows < 0)
        block.rows *= agree
        divisor = scratch("divisor", block.out.size, stack.work)
        kernels.weighted_sum(agree.astype(stack.work), factors, one, divisor)
        kernels.weighted_sum(block.rows, factors, one, block.out)
        block.out /= np.maximum(divisor, stack.work.type(1e-6))
        block.out += block.base

    return finish


def _variance(block: Block) -> NDArray[np.floating]:
    wide = block.rows.astype(np.float64)
    spread: NDArray[np.floating] = ((wide - wide.mean(axis=0)) ** 2).mean(axis=0)
    return spread


_COMMON = (WEIGHT, DENSITY, SCALE, Parameter("int8_mask", False, "switch"))


def _method(
    name: str, paper: str, thin: Callable[[Stack, Values], Sparsify], vote: bool, normalize: bool, *more: Parameter
) -> MergeMethod:
    combine = elected if vote else summed
    return MergeMethod(
        name,
        paper,
        lambda stack, values: combine(stack, values, thin(stack, values)),
        (*_COMMON, Parameter("normalize", normalize, "switch"), *more),
        "required",
        taus=True,
        rows=thin is by_rank,
        device=thin is not by_rank,
    )


def _rescale(default: bool) -> tuple[Parameter, ...]:
    norm = Parameter("rescale_norm", "expected", "word", words=("expected", "l1"))
    return Parameter("rescale", default, "switch"), norm


_MAGNITUDE = Parameter("rescale", False, "switch")
_GAMMA = Parameter("gamma", 0.01, each=True, minimum=0, maximum=1)
_EPSILON = Parameter("epsilon", 0.15, each=True, minimum=0, maximum=0.5)
_DARE, _DELLA = "https://arxiv.org/abs/2311.03099", "https://arxiv.org/abs/2406.11617"
_CRUMBS = "https://arxiv.org/abs/2312.06795"
METHODS = (
    _method("ties", "https://arxiv.org/abs/2306.01708", by_magnitude, True, True, _MAGNITUDE),
    _method("dare_linear", _DARE, at_random, False, False, *_rescale(True)),
    _method("dare_ties", _DARE, at_random, True, False, *_rescale(True)),
    _method("della", _DELLA, by_rank, True, True, *_rescale(True), _EPSILON),
    _method("della_linear", _DELLA, by_rank, False, False, *_rescale(True), _EPSILON),
    _method("breadcrumbs", _CRUMBS, without_outliers, False, False, _MAGNITUDE, _GAMMA),
    _method("breadcrumbs_ties", _CRUMBS, without_outliers, True, False, _MAGNITUDE, _GAMMA),
    MergeMethod(
        "sce",
        "https://arxiv.org/abs/2408.07990",
        sce,
        (Parameter("select_topk", 1.0, minimum=0, maximum=1), Parameter("int8_mask", False, "switch")),
        "required",
        taus=True,
    ),
)
