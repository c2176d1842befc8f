"""Sums of task vectors: tau = theta - base, in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merging.methods.algebra import gram, shifted
from merging.methods.linear import WEIGHT
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.stack import Block, Stack

SCALE = Parameter("lambda", 1.0)


def task_arithmetic(stack: Stack, values: Values) -> FinishBlock:
    """base + lambda sum w tau; `normalize`: divided by the sum of the weights."""
    return shifted(stack, scaled(values))


def scaled(values: Values) -> tuple[float, ...]:
    """The weights times lambda, divided by their sum where that is wanted (and is not zero)."""
    weights = values.each["weight"]
    total = sum(weights) if values.shared["normalize"] else 1.0
    factor = values.shared["lambda"] / (total if abs(total) >= 1e-8 else 1.0)
    return tuple(weight * factor for weight in weights)


def model_stock(stack: Stack, values: Values) -> FinishBlock:
    """base + t (mean - base) with t = N c / (1 + (N-1) c), c the mean cosine of the task vectors.

    `filter_wise`: t for each row. Where the denominator vanishes the base stays.
    """
    kernels = stack.kernels

    count = len(stack.sources)
    if not values.shared["filter_wise"] or len(stack.shape) < 2:
        (share,) = _stock(gram(stack, taus=True)[None]).tolist()
        return shifted(stack, (share / count,) * count)
    even = stack.array([1 / count] * count)

    def finish(block: Block) -> None:
        taus = block.rows.reshape(count, -1, stack.columns)
        dots = np.einsum("jrc,krc->rjk", taus, taus, dtype=np.float64)
        mean = np.empty_like(block.out)
        kernels.weighted_sum(block.rows, even, stack.array([1.0]), mean)
        share = np.repeat(_stock(dots), stack.columns).astype(stack.work)
        block.out[:] = block.base + share * mean

    return finish


def _stock(dots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the mean for Gram matrices (rows, sources, sources)."""
    count = dots.shape[-1]
    norms = np.sqrt(np.maximum(np.einsum("rkk->rk", dots), 0))
    pairs = [
        np.clip(dots[:, j, k] / np.maximum(norms[:, j] * norms[:, k], 1e-6), -1, 1)
        for j in range(count)
        for k in range(j + 1, count)
    ]
    cosine = np.mean(pairs, axis=0)
    below = 1 + (count - 1) * cosine
    singular = np.abs(below) < 1e-6
    return np.where(singular, 0.0, count * cosine / np.where(singular, 1.0, below))


METHODS = (
    MergeMethod(
        "task_arithmetic",
        "https://arxiv.org/abs/2212.04089",
        task_arithmetic,
        (WEIGHT, SCALE, Parameter("normalize", False, "switch")),
        "required",
        taus=True,
        device=True,
        elementwise=True,
    ),
    MergeMethod(
        "model_stock",
        "https://arxiv.org/abs/2403.19522",
        model_stock,
        (Parameter("filter_wise", False, "switch"),),
        "required",
        min_sources=2,
        taus=True,
        rows=True,
    ),
)
