"""Taking over from one model only what is near to the base, or only what differs most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.methods.selection import largest
from merging.stack import Block, Stack


def nearswap(stack: Stack, values: Values) -> FinishBlock:
    """Move each weight by at most t towards the other model."""
    kernels = stack.kernels
    t = stack.array([values.shared["t"]])

    def finish(block: Block) -> None:
        kernels.near_swap(block.base, block.rows[0], t, block.out)

    return finish


def arcee_fusion(stack: Stack, values: Values) -> FinishBlock:
    """Take the entries whose importance, |difference| times the divergence of the row's softmax, is exceptional.

    The bound is median + 1.5 (third quartile - first), of all entries (mergekit: of a random million).
    """
    last = max(1, stack.size - 1)
    # Positions counted from the smallest, as mergekit truncates them; `largest` counts from the top.
    ranks = [stack.size - int(np.float32(share) * last) for share in (0.25, 0.5, 0.75)]

    def sweep() -> Iterator[NDArray[np.float32]]:
        return (_importance(block, stack.columns)[None] for block in stack.blocks(False, rows=True, keep=True))

    first, median, third = largest(stack.kernels, sweep, [ranks])[0].astype(np.float64)
    bound = np.float32(median + 1.5 * (third - first))

    def finish(block: Block) -> None:
        taken = _importance(block, stack.columns) >= bound
        block.out[:] = block.base + (block.rows[0] - block.base) * taken

    return finish


def _importance(block: Block, columns: int) -> NDArray[np.float32]:
    model, base = (part.reshape(-1, columns).astype(np.float64) for part in (block.rows[0], block.base))
    ours, theirs = (_softmax(part) + 1e-8 for part in (model, base))
    divergence = (ours * np.log(ours / theirs)).sum(axis=1, keepdims=True)
    found: NDArray[np.float32] = (np.abs(model - base) * divergence).astype(np.float32).reshape(-1)
    # A divergence of zero may come out below zero; what differs not at all is never important.
    return np.maximum(found, 0)


def _softmax(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


METHODS = (
    MergeMethod(
        "nearswap",
        "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
        nearswap,
        (Parameter("t", minimum=0),),
        "required",
        max_sources=1,
        device=True,
        elementwise=True,
    ),
    MergeMethod("arcee_fusion", "https://arcee.ai", arcee_fusion, (), "required", max_sources=1, rows=True),
)
