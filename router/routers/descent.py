"""L-BFGS over several arrays at once, in single precision: what fitted routers share.

Products with the questions' vectors are most of the time, and single precision halves it. Sums over cells and the
optimiser's own steps are in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Loss: TypeAlias = Callable[[Sequence[Array]], tuple[float, Sequence[NDArray[Any]]]]
"""Arrays -> (loss, one gradient per array, same shapes)."""


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), same shape, without overflow."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def chance(logits: Array) -> Array:
    """1 / (1 + exp(-logits)), same shape, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))


def minimised(
    loss: Loss, start: Sequence[NDArray[Any]], *, iterations: int = 300, tolerance: float = 1e-9
) -> list[Array]:
    """The arrays, float32, at which `loss` is least near `start`.

    `iterations` at most; the search ends sooner where a step lowers the loss by less than `tolerance` of it.
    """
    from scipy.optimize import minimize

    shapes = [array.shape for array in start]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def parts(flat: NDArray[np.float64]) -> list[Array]:
        single = flat.astype(np.float32)
        return [piece.reshape(shape) for piece, shape in zip(np.split(single, cuts), shapes, strict=True)]

    def flat_loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradients = loss(parts(flat))
        return float(value), np.concatenate([np.asarray(one, np.float64).ravel() for one in gradients])

    first = np.concatenate([np.asarray(array, np.float64).ravel() for array in start])
    options = {"maxiter": iterations, "ftol": tolerance}
    found: Any = minimize(flat_loss, first, jac=True, method="L-BFGS-B", options=options)
    return parts(found.x)
