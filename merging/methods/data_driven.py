"""Weights that follow from data: what each model's inputs looked like, or how much its loss depends on each weight.

The statistics come as safetensors files, one a source (parameter `statistics`), with a tensor for each weight of that
name; `collegium gather` writes them.
"""

from __future__ import annotations

import numpy as np

from merging import kernels
from merging.buffers import Work, scratch
from merging.methods.linear import weighted
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.settings import RecipeError
from merging.stack import Block, Stack

STATISTICS = Parameter("statistics", each=True, kind="path")
WEIGHT_ONE = Parameter("weight", 1.0, each=True, minimum=0)


def fisher(stack: Stack, values: Values) -> FinishBlock:
    """sum w F theta / sum w F, F the diagonal Fisher information (shape of the tensor) plus `floor`."""
    weights, floor = stack.array(values.each["weight"]), stack.array([values.shared["floor"]])
    known = [slab for slab in stack.statistics if slab is not None]
    if len(known) != len(stack.sources):
        return weighted(stack, values.each["weight"], sum(values.each["weight"]))

    def finish(block: Block) -> None:
        size = block.out.size
        shares = scratch("importance", len(known) * size, stack.work).reshape(len(known), size)
        for row, slab in zip(shares, known, strict=True):
            slab.read(block.start, block.stop, row)
        kernels.weighted_ratio(block.rows, shares, weights, floor, block.out)

    return finish


def regmean(stack: Stack, values: Values) -> FinishBlock:
    """(sum W_k G_k) (sum G_k)^-1 for linear layers W (out, in), G = X'X the Gram matrix of their inputs (in, in).

    Off-diagonal entries of G are multiplied by `shrink`. Tensors without a Gram matrix are averaged.
    """
    count = len(stack.sources)
    known = [slab for slab in stack.statistics if slab is not None]
    if len(known) != count or len(stack.shape) != 2:
        return weighted(stack, (1.0,) * count, count)
    width = stack.shape[1]
    total = np.zeros((width, width), stack.work)
    weighed = np.zeros(stack.shape, stack.work)
    for source, slab in enumerate(known):
        gram = np.empty(width * width, stack.work)
        slab.read(0, gram.size, gram)
        gram = gram.reshape(width, width)
        diagonal = gram.diagonal().copy()
        gram *= stack.work.type(values.shared["shrink"])
        np.fill_diagonal(gram, diagonal)
        total += gram
        for block in stack.blocks(False, rows=True):
            first, last = block.start // width, block.stop // width
            weighed[first:last] += block.rows[source].reshape(-1, width) @ gram
    flat = _solved(weighed, total, stack.name).reshape(-1)

    def finish(block: Block) -> None:
        block.out[:] = flat[block.start : block.stop]

    return finish


def _solved(weighed: Work, total: Work, name: str) -> Work:
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    # Inputs that never occurred leave a singular matrix.
    total[np.diag_indices_from(total)] += max(float(total.diagonal().mean()) * 1e-6, 1e-12)
    try:
        # Symmetric: the transposed is the same matrix, in the order that LAPACK need not copy.
        factor = cho_factor(total.T, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise RecipeError(f"regmean: the Gram matrices of {name!r} are not positive definite: {error}") from None
    solved: Work = cho_solve(factor, weighed.T, overwrite_b=True, check_finite=False).T
    return solved


METHODS = (
    MergeMethod(
        "fisher",
        "https://arxiv.org/abs/2111.09832",
        fisher,
        (WEIGHT_ONE, STATISTICS, Parameter("floor", 1e-10, minimum=1e-30)),
    ),
    MergeMethod(
        "regmean",
        "https://arxiv.org/abs/2212.09849",
        regmean,
        (STATISTICS, Parameter("shrink", 0.9, minimum=0, maximum=1)),
        rows=True,
        whole=True,
    ),
)
