"""Means on the sphere. All are sums whose coefficients follow from the sources' inner products alone: two passes,
one for the Gram matrix (float64), one for the sum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work
from merging.methods.algebra import Gram, gram, shifted
from merging.methods.linear import WEIGHT, weighted
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.settings import RecipeError
from merging.stack import Block, Stack

STRAIGHT = 0.9995
"""Above this cosine, slerp interpolates in a straight line."""


def slerp(stack: Stack, values: Values) -> FinishBlock:
    """Along the great circle from the base (t = 0) to the other model (t = 1)."""
    t = values.shared["t"]
    dots = gram(stack, taus=False, with_base=True)
    other, base = arc(dots[[1, 0]][:, [1, 0]], t, STRAIGHT)[::-1]
    return weighted(stack, (other, base))


def arc(dots: Gram, t: float, straight: float) -> tuple[float, float]:
    """Coefficients of slerp from the first vector to the second, by their inner products (2, 2)."""
    norms = [math.sqrt(dots[k, k]) if dots[k, k] > 1e-16 else 1.0 for k in (0, 1)]
    cosine = min(1.0, max(-1.0, float(dots[0, 1]) / (norms[0] * norms[1])))
    if abs(cosine) > straight:
        return 1 - t, t
    angle = math.acos(cosine)
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def nuslerp(stack: Stack, values: Values) -> FinishBlock:
    """slerp of two models by their share of the weights; of their task vectors where there is a base.

    `nuslerp_flatten: false` takes each row (or, `nuslerp_row_wise`, each column) for a vector of its own.
    """
    first, second = values.each["weight"]
    total = first + second
    t = 0.5 if abs(total) < 1e-6 else second / total
    straight = math.sqrt(1 - 1e-16)
    if values.shared["nuslerp_flatten"] or len(stack.shape) < 2:
        coefficients = arc(gram(stack, taus=stack.base is not None), t, straight)
        return weighted(stack, coefficients) if stack.base is None else shifted(stack, coefficients)
    by_column = values.shared["nuslerp_row_wise"]
    columns = _column_arcs(stack, t, straight) if by_column else None

    def finish(block: Block) -> None:
        pairs = block.rows.reshape(2, -1, stack.columns)
        share = _arcs(_dots(pairs, axis=2), t, straight)[:, :, None] if columns is None else columns[:, None, :]
        mixed = (share.astype(stack.work) * pairs).sum(axis=0).reshape(-1)
        block.out[:] = mixed if stack.base is None else block.base + mixed

    return finish


def _column_arcs(stack: Stack, t: float, straight: float) -> NDArray[np.float64]:
    dots = np.zeros((3, stack.columns))
    for block in stack.blocks(stack.base is not None, rows=True, keep=True):
        dots += _dots(block.rows.reshape(2, -1, stack.columns), axis=1)
    return _arcs(dots, t, straight)


def _dots(pairs: Work, axis: int) -> NDArray[np.float64]:
    wide = pairs.astype(np.float64)
    axis -= 1
    return np.stack([(wide[0] ** 2).sum(axis), (wide[1] ** 2).sum(axis), (wide[0] * wide[1]).sum(axis)])


def _arcs(dots: NDArray[np.float64], t: float, straight: float) -> NDArray[np.float64]:
    """`arc` for many pairs at once: (2, pairs) from (3, pairs)."""
    norms = np.sqrt(np.where(dots[:2] > 1e-16, dots[:2], 1.0))
    cosines = np.clip(dots[2] / (norms[0] * norms[1]), -1, 1)
    line = np.abs(cosines) > straight
    angles = np.arccos(np.where(line, 0.0, cosines))
    curved = np.stack([np.sin((1 - t) * angles), np.sin(t * angles)]) / np.sin(angles)
    return np.where(line, np.array([[1 - t], [t]]), curved)


def multislerp(stack: Stack, values: Values) -> FinishBlock:
    """Weighted mean in the tangent space at the weighted mean direction, mapped back; length: the mean length.
    Raises `RecipeError` for weights that sum to zero."""
    weights = np.array(values.each["weight"])
    if values.shared["normalize_weights"]:
        if weights.sum() == 0:
            raise RecipeError(f"multislerp: the weights of tensor {stack.name!r} sum to zero")
        weights = weights / weights.sum()
    if len(weights) == 1:
        return weighted(stack, (1.0,)) if stack.base is None else shifted(stack, (1.0,))
    dots = gram(stack, taus=stack.base is not None)
    coefficients = _multislerp(dots, weights, values.shared["eps"], stack.name)
    return weighted(stack, coefficients) if stack.base is None else shifted(stack, coefficients)


def _multislerp(dots: Gram, weights: NDArray[np.float64], eps: float, name: str) -> tuple[float, ...]:
    norms = np.sqrt(np.maximum(np.diag(dots), 0))
    if not norms.any():
        # Nobody has changed this tensor: any sum of nothing will do.
        return tuple(weights.tolist())
    scale = 1 / (norms + eps)
    units = dots * np.outer(scale, scale)
    length = math.sqrt(max(0.0, float(weights @ units @ weights)))
    if length < eps:
        if len(weights) == 2:
            return tuple(weights.tolist())
        raise RecipeError(f"multislerp: the directions of tensor {name!r} cancel out: choose other weights")
    mean = weights / length
    # In coefficients of the unit vectors: sum_k w_k (u_k - (u_k . mean) mean).
    tangent = weights - float(weights @ units @ mean) * mean
    angle = math.sqrt(max(0.0, float(tangent @ units @ tangent))) + eps
    result = (mean * math.cos(angle) + tangent * (math.sin(angle) / angle)) * float(norms @ weights)
    return tuple((result * scale).tolist())


def karcher(stack: Stack, values: Values) -> FinishBlock:
    """The Riemannian centre of mass on the sphere, all sources alike; length: the mean length."""
    dots = gram(stack, taus=False)
    return weighted(stack, _karcher(dots, values.shared["max_iter"], values.shared["tol"]))


def _karcher(dots: Gram, max_iterations: int, tol: float) -> tuple[float, ...]:
    count = len(dots)
    norms = np.sqrt(np.maximum(np.diag(dots), 0))
    valid = norms > tol
    if not valid.any():
        return (0.0,) * count
    scale = np.where(valid, 1 / np.where(valid, norms, 1), 0)
    units = dots * np.outer(scale, scale)
    share = valid / valid.sum()
    mean = share
    length = math.sqrt(max(0.0, float(mean @ units @ mean)))
    mean = np.eye(count)[int(np.argmax(valid))] if length < tol else mean / length
    for _ in range(max_iterations):
        cosines = np.clip(units @ mean, -1, 1)
        angles = np.arccos(cosines)
        active = valid & (angles >= tol)
        factor = np.where(active, share * angles / np.where(active, np.sin(angles), 1), 0)
        tangent = factor - float(factor @ cosines) * mean
        size = math.sqrt(max(0.0, float(tangent @ units @ tangent)))
        if size < tol:
            break
        mean = math.cos(size) * mean + math.sin(size) * tangent / size
        mean = mean / math.sqrt(float(mean @ units @ mean))
    return tuple((mean * scale * float(norms.mean())).tolist())


_BLOG = "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea"
METHODS = (
    MergeMethod(
        "slerp",
        "https://doi.org/10.1145/325165.325242",
        slerp,
        (Parameter("t"),),
        "required",
        max_sources=1,
        device=True,
    ),
    MergeMethod(
        "nuslerp",
        "https://doi.org/10.1145/325165.325242",
        nuslerp,
        (WEIGHT, Parameter("nuslerp_row_wise", False, "switch"), Parameter("nuslerp_flatten", True, "switch")),
        "optional",
        min_sources=2,
        max_sources=2,
        taus=True,
        rows=True,
    ),
    MergeMethod(
        "multislerp",
        _BLOG,
        multislerp,
        (WEIGHT, Parameter("normalize_weights", True, "switch"), Parameter("eps", 1e-8, minimum=0)),
        "optional",
        taus=True,
        device=True,
    ),
    MergeMethod(
        "karcher",
        "https://arxiv.org/abs/2603.04972",
        karcher,
        (Parameter("max_iter", 10, "count", minimum=1, maximum=10_000), Parameter("tol", 1e-5, minimum=0)),
        "source",
        device=True,
    ),
)
