"""What `kernels` does, on torch tensors of any device: the same functions, in the same number format.

A method's formula stands in `kernels` once for the processor's cores and here once for everything else; the methods
call `stack.kernels` and do not ask which of the two it is. Weights and counts come as NumPy arrays, blocks as tensors.
Draws are the same integers, so random methods keep the same elements; sums differ by their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANES = 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def weighted_sum(rows: Tensor, weights: NDArray[Any], divisor: NDArray[Any], out: Tensor) -> None:
    """out = sum_k weights[k] rows[k] / divisor[0]."""
    torch.mul(rows[0], float(weights[0]), out=out)
    for row, weight in zip(rows[1:], weights[1:], strict=True):
        out.add_(row, alpha=float(weight))
    if divisor[0] != 1:
        out.div_(float(divisor[0]))


def shifted_sum(base: Tensor, taus: Tensor, weights: NDArray[Any], out: Tensor) -> None:
    """out = base + sum_k weights[k] taus[k]."""
    weighted_sum(taus, weights, np.ones(1), out)
    out.add_(base)


def subtract(rows: Tensor, base: Tensor) -> None:
    """rows[k] -= base."""
    rows.sub_(base)


def add_gram(rows: Tensor, out: NDArray[np.float64]) -> None:
    """out[j, k] += rows[j] . rows[k], in float64."""
    wide = rows.double()
    out += (wide @ wide.T).cpu().numpy()


def add_absolute(rows: Tensor, out: NDArray[np.float64]) -> None:
    """out[k] += sum |rows[k]|, in float64."""
    out += rows.double().abs().sum(dim=1).cpu().numpy()


def count_high(rows: Tensor, out: NDArray[np.uint32], longer: NDArray[np.uint32]) -> None:
    """out[k, 0, b] += how many magnitudes of rows[k] have the upper 15 bits b; longer[k, b]: and lower ones."""
    for row, counts, more in zip(rows, out, longer, strict=True):
        magnitudes = _magnitudes(row)
        counts[0] += _counted(magnitudes >> 16, 1 << 15)
        more += _counted(magnitudes[magnitudes & 0xFFFF != 0] >> 16, 1 << 15)


def count_low(row: Tensor, high: int, out: NDArray[np.uint32]) -> None:
    """out[0, b] += how many magnitudes of `row` have the upper bits `high` and the lower 16 bits b."""
    magnitudes = _magnitudes(row)
    low = magnitudes[magnitudes >> 16 == high] & 0xFFFF
    out[0] += _counted(low, 1 << 16)


def scale_rows(rows: Tensor, factors: NDArray[Any]) -> None:
    """rows[k] *= factors[k]."""
    for row, factor in zip(rows, factors, strict=True):
        row.mul_(float(factor))


def keep_between(row: Tensor, low: np.float32, high: np.float32) -> None:
    """Zero in `row` (elements,) what is smaller in magnitude than `low` or larger than `high`."""
    sizes = row.abs()
    row.masked_fill_(~((sizes >= float(low)) & (sizes <= float(high))), 0)


def drop(row: Tensor, key: np.uint64, start: int, keep: int, scale: NDArray[Any]) -> None:
    """Keep each element with probability keep / 2^24 and multiply it by scale[0], zero the rest."""
    row.mul_(float(scale[0])).masked_fill_(_drawn(key, start, row) >= keep, 0)


def consensus(
    base: Tensor, taus: Tensor, weights: NDArray[np.float64], divide: bool, scale: NDArray[Any], out: Tensor
) -> None:
    """out = base + scale[0] * the sum of weights[k] taus[k] over the sources that agree with the sum's sign."""
    totals = torch.zeros_like(out, dtype=torch.float64)
    for tau, weight in zip(taus, weights, strict=True):
        totals.add_(tau.double() * float(weight))
    sign = torch.where(totals >= 0, 1, -1).to(out.dtype)
    out.zero_()
    divisors = torch.zeros_like(out)
    for tau, weight in zip(taus, weights, strict=True):
        part = tau * float(weight)
        agrees = part * sign > 0
        out.add_(part.masked_fill_(~agrees, 0))
        divisors.add_(agrees, alpha=float(weight))
    if divide:
        out.div_(torch.where(divisors != 0, divisors, 1))
    out.mul_(float(scale[0])).add_(base)


def near_swap(base: Tensor, row: Tensor, t: NDArray[Any], out: Tensor) -> None:
    """out = base + (row - base) * min(1, max(0, t / |row - base|)), the distance at least 1e-6; all (elements,)."""
    share = (float(t[0]) / (row - base).abs_().clamp_(min=1e-6)).clamp_(0, 1)
    torch.add(share * row, (1 - share) * base, out=out)


def _counted(bins: Tensor, count: int) -> NDArray[np.uint32]:
    found: NDArray[np.uint32] = torch.bincount(bins, minlength=count).cpu().numpy().astype(np.uint32)
    return found


def _magnitudes(row: Tensor) -> Tensor:
    """The bits without the sign, for a float32 row."""
    return row.float().view(torch.int32) & 0x7FFFFFFF


def _drawn(key: np.uint64, start: int, like: Tensor) -> Tensor:
    """`kernels._drawn` for the elements after `start`: 64-bit integers that wrap around, as there."""
    number = torch.arange(start + 1, start + 1 + like.numel(), dtype=torch.int64, device=like.device)
    state = number.mul_(_signed(_GOLDEN)).add_(_signed(int(key)))
    state = (state ^ _right(state, 30)).mul_(_signed(_FIRST))
    state = (state ^ _right(state, 27)).mul_(_signed(_SECOND))
    return _right(state ^ _right(state, 31), 40)


def _right(state: Tensor, places: int) -> Tensor:
    """torch shifts the sign in: it is masked away."""
    return (state >> places) & ((1 << (64 - places)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
