"""Merging in the space of singular vectors. A matrix is held whole here (in float32), and so are its factors.

Vectors, and whatever is not a matrix, have no singular vectors: their task vectors are averaged, as in the papers.
"""

from __future__ import annotations

import numpy as np

from merging.buffers import Work
from merging.methods.algebra import shifted
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.stack import Block, Stack

SCALE = Parameter("lambda", 1.0)


def tsv_m(stack: Stack, values: Values) -> FinishBlock:
    """base + lambda U S V: each task's largest singular vectors (rank / tasks each), made orthogonal to one another."""
    if len(stack.shape) != 2:
        return _mean(stack, values)
    count = len(stack.sources)
    kept = max(1, min(stack.shape) // count)
    # A source's vectors are rows in both: what is not yet written takes no memory.
    left = np.empty((kept * count, stack.shape[0]), stack.work)
    right = np.empty((kept * count, stack.shape[1]), stack.work)
    singular = np.empty(kept * count, stack.work)
    for source in range(count):
        part = slice(source * kept, source * kept + kept)
        u, s, v = _svd(_task_vector(stack, source))
        left[part], singular[part], right[part] = u.T[:kept], s[:kept], v[:kept]
        del u, s, v
    left = _polar(left)
    left *= singular[:, None]
    right = _polar(right)
    return _added(stack, left.T @ right, values)


def iso_c(stack: Stack, values: Values) -> FinishBlock:
    """base + lambda s U V: the sum of the task vectors with all singular values made equal to their mean s."""
    if len(stack.shape) != 2:
        return _mean(stack, values)
    u, s, v = _svd(_task_vector(stack))
    u *= s.mean()
    return _added(stack, u @ v, values)


def _mean(stack: Stack, values: Values) -> FinishBlock:
    count = len(stack.sources)
    return shifted(stack, [values.shared["lambda"] / count] * count)


def _task_vector(stack: Stack, source: int | None = None) -> Work:
    """One source's task vector, or the sum of all, as a matrix."""
    matrix = np.empty(stack.size, stack.work)
    for block in stack.blocks(True, False):
        matrix[block.start : block.stop] = block.rows.sum(axis=0) if source is None else block.rows[source]
    return matrix.reshape(stack.shape)


def _svd(matrix: Work) -> tuple[Work, Work, Work]:
    from scipy.linalg import svd

    # The transposed is in the order that LAPACK need not copy.
    v, s, u = svd(matrix.T, full_matrices=False, overwrite_a=True, check_finite=False)
    return u.T, s, v.T


def _polar(matrix: Work) -> Work:
    """The nearest matrix with orthonormal columns (or rows)."""
    u, _, v = _svd(matrix)
    product: Work = u @ v
    return product


def _added(stack: Stack, change: Work, values: Values) -> FinishBlock:
    flat, factor = change.reshape(-1), stack.work.type(values.shared["lambda"])

    def finish(block: Block) -> None:
        block.out[:] = block.base + factor * flat[block.start : block.stop]

    return finish


METHODS = (
    MergeMethod("tsv_m", "https://arxiv.org/abs/2412.00081", tsv_m, (SCALE,), "required", taus=True, whole=True),
    MergeMethod("iso_c", "https://arxiv.org/abs/2502.04959", iso_c, (SCALE,), "required", taus=True, whole=True),
)
