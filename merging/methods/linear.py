"""Weighted sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

from merging.buffers import Work
from merging.methods.method import FinishBlock, MergeMethod, Parameter, Values
from merging.settings import RecipeError
from merging.stack import Block, Kernels, Stack

WEIGHT = Parameter("weight", each=True)


@dataclass(frozen=True)
class WeightedSum:
    """sum_k weights[k] theta_k / divisor[0]: a `FinishBlock`, and known by its parts to what can do it quicker.

    One weight more than sources: the last is the base's.
    """

    weights: Work
    divisor: Work
    kernels: Kernels

    def __call__(self, block: Block) -> None:
        """Write the weighted sum of the block's rows, shape (sources, elements), to `block.out`."""
        rows = block.rows if self.weights.size == len(block.rows) else block.whole
        self.kernels.weighted_sum(rows, self.weights, self.divisor, block.out)


def weighted(stack: Stack, weights: tuple[float, ...], divisor: float = 1.0) -> WeightedSum:
    """sum_k weights[k] theta_k / divisor."""
    return WeightedSum(stack.array(weights), stack.array([divisor]), stack.kernels)


def linear(stack: Stack, values: Values) -> FinishBlock:
    """sum w theta / sum w. Raises `RecipeError` for weights that sum to zero."""
    weights = values.each["weight"]
    if not values.shared["normalize"]:
        return weighted(stack, weights)
    # Summed as it is used, in float32: so does mergekit, and the bits are to agree.
    total = float(stack.array(weights).sum(dtype=stack.work))
    if total == 0:
        raise RecipeError(f"linear: the weights of tensor {stack.name!r} sum to zero: {list(weights)}")
    return weighted(stack, weights, total)


def lm_cocktail(stack: Stack, values: Values) -> FinishBlock:
    """Weights = softmax(-loss / temperature): each model's mean loss on a few examples of the task, measured before."""
    losses, temperature = values.each["loss"], values.shared["temperature"]
    lowest = min(losses)
    weights = tuple(math.exp((lowest - loss) / temperature) for loss in losses)
    return weighted(stack, tuple(weight / sum(weights) for weight in weights))


def passthrough(stack: Stack, values: Values) -> FinishBlock:
    """The one source, scaled."""
    (scale,) = values.each["scale"]
    return weighted(stack, (scale,))


METHODS = (
    MergeMethod(
        "linear",
        "https://arxiv.org/abs/2203.05482",
        linear,
        (WEIGHT, Parameter("normalize", True, "switch")),
        device=True,
        elementwise=True,
    ),
    MergeMethod(
        "lm_cocktail",
        "https://arxiv.org/abs/2311.13534",
        lm_cocktail,
        (Parameter("loss", each=True), Parameter("temperature", 1.0, minimum=1e-6)),
        base="source",
        device=True,
        elementwise=True,
    ),
    MergeMethod(
        "passthrough",
        "https://github.com/arcee-ai/mergekit",
        passthrough,
        (Parameter("scale", 1.0, each=True),),
        max_sources=1,
        device=True,
        elementwise=True,
    ),
)
