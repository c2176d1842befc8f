"""Inner products and shifted sums of a stack: what methods of several families are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from merging.methods.method import FinishBlock
from merging.processor import gram_of_bits
from merging.settings import RecipeError
from merging.stack import Block, Stack

Gram = NDArray[np.float64]
"""Inner products: (vectors, vectors)."""


def gram(stack: Stack, taus: bool, with_base: bool = False) -> Gram:
    """Inner products of the sources (of their task vectors); the base last if wanted. Raises `RecipeError`."""
    found = gram_of_bits(stack, taus, with_base)
    if found is None:
        found = _gram_of_blocks(stack, taus, with_base)
    if not np.isfinite(found).all():
        raise RecipeError(f"tensor {stack.name!r} holds NaN, infinity or numbers beyond 1e18: it has no direction")
    return found


def _gram_of_blocks(stack: Stack, taus: bool, with_base: bool) -> Gram:
    count = len(stack.sources) + with_base
    found = np.zeros((count, count))
    for block in stack.blocks(taus, rows=False, keep=True):
        part = np.zeros((count, count))
        stack.kernels.add_gram(block.whole if with_base else block.rows, part)
        found += part
    return found


def shifted(stack: Stack, weights: Sequence[float]) -> FinishBlock:
    """base + sum_k weights[k] tau_k."""
    kernels = stack.kernels
    factors = stack.array(weights)

    def finish(block: Block) -> None:
        kernels.shifted_sum(block.base, block.rows, factors, block.out)

    return finish
