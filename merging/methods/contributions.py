"""Task vectors that keep their full size where only one source changed a weight, and are averaged where several did."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.stack import Block, Stack

EPSILON = Parameter("epsilon", 1e-5, minimum=0)


def ram(stack: Stack, values: Values) -> FinishBlock:
    """base + the mean of the changes larger than `epsilon`, over the sources that made one there."""
    return _summed(stack, values, np.ones(len(stack.sources)))


def ramplus_tl(stack: Stack, values: Values) -> FinishBlock:
    """`ram`, with what only source k changed multiplied by 1 + r * min(alpha, its shared changes / its own), per
    tensor."""
    count = len(stack.sources)
    shared, own = np.zeros(count), np.zeros(count)
    for block in stack.blocks(True, False, keep=True):
        changed, together = _changed(block, values)
        shared += (changed & (together > 1)).sum(1)
        own += (changed & (together == 1)).sum(1)
    ratio = shared / np.maximum(own, max(values.shared["epsilon"], 1e-30))
    return _summed(stack, values, 1 + values.shared["r"] * np.clip(ratio, 0, values.shared["alpha"]))


def _summed(stack: Stack, values: Values, factors: Work) -> FinishBlock:
    scale = factors.astype(stack.work)[:, None]

    def finish(block: Block) -> None:
        changed, together = _changed(block, values)
        share = np.where(together == 1, scale, 1 / np.maximum(together, 1).astype(stack.work))
        block.out[:] = block.base + np.where(changed, block.rows * share, 0).sum(0, dtype=stack.work)

    return finish


def _changed(block: Block, values: Values) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(which source changed an element, how many sources did): (sources, elements), (elements,)."""
    changed = np.abs(block.rows) > block.rows.dtype.type(values.shared["epsilon"])
    return changed, changed.sum(0)


_PAPER = "https://arxiv.org/abs/2601.13572"
METHODS = (
    MergeMethod("ram", _PAPER, ram, (EPSILON,), "required", taus=True),
    MergeMethod(
        "ramplus_tl",
        _PAPER,
        ramplus_tl,
        (EPSILON, Parameter("r", 0.1, minimum=0), Parameter("alpha", 0.2, minimum=0)),
        "required",
        taus=True,
    ),
)
