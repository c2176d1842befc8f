"""Numbers out of packed ones: a tensor quantised to a few bits, read by ranges of elements like any other.

Each class is a `Slab` over the arrays that one packed tensor consists of. What the formats mean is stated where it is
used; all arithmetic is float32. None of them holds more than a few rows widened.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work
from merging.checkpoint import CheckpointError

Array = NDArray[Any]
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""The 16 values of a 4-bit float with two bits of exponent and one of mantissa (OCP Microscaling Formats, 5.3.3)."""
AWQ_PLACES = np.array([0, 4, 1, 5, 2, 6, 3, 7])
"""Which four bits of a packed number hold column 0, 1, ... of its eight columns in AWQ's layout."""


@dataclass(frozen=True)
class Unpacked:
    """A tensor of `columns` per row whose rows [first, last) `rows(first, last)` computes as (rows, columns)."""

    label: str
    columns: int
    rows: Callable[[int, int], Array]
    allow_nan: bool = False

    def read(self, start: int, stop: int, out: Work) -> None:
        """Write the values [start, stop) of the flattened tensor to `out`. Raises `CheckpointError` for values that
        are no numbers."""
        first, last = start // self.columns, -(-stop // self.columns)
        values = self.rows(first, last).reshape(-1)
        out[:] = values[start - first * self.columns : stop - first * self.columns]
        if not self.allow_nan and not np.isfinite(out).all():
            raise CheckpointError(f"{self.label}: not all finite numbers (--allow-nan merges them all the same)")


def four_bit_blocks(
    packed: Array, values: Array, scales: Array, size: int, columns: int
) -> Callable[[int, int], Array]:
    """bitsandbytes' 4 bits: two places in `values` per byte, the high half first; one scale per `size` numbers."""
    flat = packed.reshape(-1).view(np.uint8)

    def rows(first: int, last: int) -> Array:
        start, stop = first * columns, last * columns
        held = flat[start // 2 : -(-stop // 2)]
        places = np.stack([held >> 4, held & 15], 1).reshape(-1)[start % 2 : start % 2 + stop - start]
        found: Array = values[places] * scales[np.arange(start, stop) // size]
        return found

    return rows


def eight_bit_rows(packed: Array, scales: Array) -> Callable[[int, int], Array]:
    """bitsandbytes' 8 bits: integers, and per row the magnitude that 127 stands for."""
    return lambda first, last: packed[first:last].astype(np.float32) * (scales.reshape(-1)[first:last, None] / 127)


def integer_rows(packed: Array, scales: Array, zeros: Array | None) -> Callable[[int, int], Array]:
    """Compressed tensors' integers: (number - zero) * scale; one scale for all, per row, or per group of columns."""
    matrix = packed.reshape(packed.shape[0], -1)

    def spread(held: Array, first: int, last: int) -> Array:
        if held.size == 1:
            return held.reshape(1, 1)
        part = held.reshape(held.shape[0], -1)[first:last]
        return np.repeat(part, matrix.shape[1] // part.shape[1], 1)

    def rows(first: int, last: int) -> Array:
        values = matrix[first:last].astype(np.float32)
        if zeros is not None:
            values -= spread(zeros, first, last)
        return values * spread(scales, first, last)

    return rows


def packed_rows(
    packed: Array, bits: int, scales: Array, zeros: Array | None, groups: Array, columns: int
) -> Callable[[int, int], Array]:
    """Compressed tensors' packed integers: along the columns, lowest bits first, half the range added.

    `groups`: each column's column of `scales` (and of `zeros`, unpacked already).
    """

    def rows(first: int, last: int) -> Array:
        held = packed[first:last].view(np.uint32)
        values = nibbles(held, bits).reshape(last - first, -1)[:, :columns].astype(np.float32) - (1 << (bits - 1))
        if zeros is not None:
            values -= zeros[first:last][:, groups]
        return values * scales[first:last][:, groups]

    return rows


def gptq_rows(packed: Array, bits: int, scales: Array, zeros: Array, groups: Array) -> Callable[[int, int], Array]:
    """GPTQ's: packed along the inputs, stored (inputs, outputs); `groups`: the row of `scales` of each input."""

    def rows(first: int, last: int) -> Array:
        held = np.ascontiguousarray(packed[:, first:last].T).view(np.uint32)
        values = nibbles(held, bits).reshape(last - first, -1)[:, : groups.size].astype(np.float32)
        return (values - zeros[:, first:last].T[:, groups]) * scales[:, first:last].T[:, groups]

    return rows


def awq_rows(packed: Array, scales: Array, zeros: Array, size: int) -> Callable[[int, int], Array]:
    """AWQ's: eight outputs to a number in the order of AWQ_PLACES, stored (inputs, outputs); `size` inputs a group."""
    groups = np.arange(packed.shape[0]) // size

    def rows(first: int, last: int) -> Array:
        low, high = first // 8, -(-last // 8)
        held = np.ascontiguousarray(packed[:, low:high]).view(np.uint32)
        values = awq_order(held)[:, first - low * 8 : last - low * 8].astype(np.float32)
        return ((values - zeros[groups, first:last]) * scales[groups, first:last]).T

    return rows


def awq_order(packed: Array) -> Array:
    """(rows, numbers) of eight four-bit columns each -> (rows, columns)."""
    parts = (packed[:, :, None] >> (4 * AWQ_PLACES.astype(np.uint32))) & np.uint32(15)
    return parts.reshape(packed.shape[0], -1)


def nibbles(packed: Array, bits: int) -> Array:
    """The numbers in each 32-bit one, lowest bits first: (..., 32 // bits)."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    return (packed[..., None] >> shifts) & np.uint32((1 << bits) - 1)


def microscaled_rows(blocks: Array, scales: Array) -> Callable[[int, int], Array]:
    """Blocks of 32 four-bit floats, low half of a byte first, with a power of two each; stored transposed.

    `blocks` (experts, outputs, groups, 16) and `scales` (experts, outputs, groups) give (experts, inputs, outputs).
    """
    inputs = blocks.shape[2] * 32

    def rows(first: int, last: int) -> Array:
        expert, place = np.divmod(np.arange(first, last), inputs)
        held = blocks[expert, :, place // 32, (place % 32) // 2]
        values = FP4[np.where((place % 2 == 1)[:, None], held >> 4, held & 15)]
        found: Array = np.ldexp(values, scales[expert, :, place // 32].astype(np.int32) - 127).astype(np.float32)
        return found

    return rows


def double_scales(packed: Array, values: Array, scales: Array, size: int, offset: float) -> Array:
    """bitsandbytes' scales that are quantised themselves, to 8 bits: `packed` (blocks,) -> (blocks,)."""
    found: Array = values[packed.reshape(-1)] * scales[np.arange(packed.size) // size] + np.float32(offset)
    return found.astype(np.float32)


def elements(shape: tuple[int, ...]) -> int:
    """Number of elements of a shape."""
    return math.prod(shape)
