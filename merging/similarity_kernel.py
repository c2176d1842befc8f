"""The inner loops of `similarity` and `columns`, compiled. Imported where they are used: numba takes half a second,
and compiles them at the first import (the result is kept beside this file).

A block holds strips of columns, `[strips, models, rows, LANES]`: the products of three models with three others are
nine sums of a strip, which stay in registers while the rows go by. LLVM finds that by itself in no loop that
numba writes, so this one is given to it as vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 16 if get_host_cpu_features().get("avx512f") else 8
"""Columns of a strip: what one register holds in fp32."""
STRIPS = 4
"""Strips of a block: their bfloat16 bits are two lines of the cache, which come together."""
AT_ONCE = 3
"""Models whose products with as many others are summed together; blocks are padded to a multiple."""


@intrinsic  # type: ignore[untyped-decorator]
def add_tile(typing: Any, left: Any, right: Any, models: Any, rows: Any, sums: Any, down: Any, across: Any) -> Any:
    """sums[i, j] += sum over rows of left[i] * right[j], for three models and three. All are addresses: of strips that
    are `models` bytes apart, and of LANES float64 that are `down` and `across` bytes apart."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second, apart, count, target, down, across = arguments
        vector, number = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
        zero = ir.Constant(vector, [0.0] * LANES)

        def at(base: Any, index: int, offset: Any = None) -> Any:
            """The strip's address, `index` models on."""
            place = builder.add(base, builder.mul(apart, ir.Constant(number, index)))
            return builder.inttoptr(place if offset is None else builder.add(place, offset), vector.as_pointer())

        before = builder.block
        loop, done = builder.append_basic_block("row"), builder.append_basic_block("rows")
        builder.branch(loop)
        builder.position_at_end(loop)
        row = builder.phi(number)
        sums = [builder.phi(vector) for _ in range(AT_ONCE * AT_ONCE)]
        offset = builder.mul(row, ir.Constant(number, 4 * LANES))
        ours, theirs = (
            [builder.load(at(base, index, offset), align=4) for index in range(AT_ONCE)] for base in (first, second)
        )
        added = []
        for place, total in enumerate(sums):
            product = builder.fmul(ours[place // AT_ONCE], theirs[place % AT_ONCE], flags=("contract",))
            added.append(builder.fadd(total, product, flags=("contract",)))
        following = builder.add(row, ir.Constant(number, 1))
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
        row.add_incoming(ir.Constant(number, 0), before)
        row.add_incoming(following, loop)
        for total, more in zip(sums, added, strict=True):
            total.add_incoming(zero, before)
            total.add_incoming(more, loop)
        builder.position_at_end(done)
        wide = ir.VectorType(ir.DoubleType(), LANES)
        for place, more in enumerate(added):
            i, j = (ir.Constant(number, part) for part in divmod(place, AT_ONCE))
            offset = builder.add(builder.mul(down, i), builder.mul(across, j))
            where = builder.inttoptr(builder.add(target, offset), wide.as_pointer())
            builder.store(builder.fadd(builder.load(where, align=8), builder.fpext(more, wide)), where, align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


@intrinsic  # type: ignore[untyped-decorator]
def widen_strip(typing: Any, bits: Any, numbers: Any) -> Any:
    """LANES bfloat16 at one address as fp32 to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        narrow, wide = (ir.VectorType(ir.IntType(size), LANES) for size in (16, 32))
        loaded = builder.load(builder.inttoptr(arguments[0], narrow.as_pointer()), align=2)
        shifted = builder.shl(builder.zext(loaded, wide), ir.Constant(wide, [16] * LANES))
        builder.store(shifted, builder.inttoptr(arguments[1], wide.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@njit("(float32[:, :, :, ::1], int64, float64[:, :, ::1], int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_block(block: NDArray[np.float32], count: int, sums: NDArray[np.float64], first: int) -> None:
    """sums[i, j, c] += sum over `count` rows of model i's column c times j's, for all i and j up to i's group of three.

    block: [strips, models, rows, LANES], models a multiple of three; sums: [models, models, columns], columns from
    `first` on.
    """
    strips, models, rows, _ = block.shape
    apart = 4 * LANES * rows
    across = 8 * sums.shape[2]
    down = across * sums.shape[1]
    for strip in range(min(strips, (sums.shape[2] - first) // LANES)):
        start = block.ctypes.data + strip * models * apart
        total = sums.ctypes.data + 8 * (first + strip * LANES)
        for i in range(0, models, AT_ONCE):
            for j in range(0, i + 1, AT_ONCE):
                left, right = start + i * apart, start + j * apart
                add_tile(left, right, apart, count, total + i * down + j * across, down, across)


@njit(  # type: ignore[untyped-decorator]
    "(uint16[:, :, ::1], int64, float32[:, :, :, ::1], uint32[:, :, :, ::1], float64[:, :, ::1])",
    cache=True,
    nogil=True,
)
def add_products_bf16(
    bits: NDArray[np.uint16],
    count: int,
    block: NDArray[np.float32],
    block_bits: NDArray[np.uint32],
    sums: NDArray[np.float64],
) -> None:
    """As `add_products`, of bfloat16 bits (models, elements); `block_bits`: the same memory as `block`."""
    models, _, columns = bits.shape
    width = block.shape[0] * LANES
    for first in range(0, columns, width):
        last = min(first + width, columns)
        for model in range(models):
            for row in range(count):
                source = bits.ctypes.data + 2 * ((model * bits.shape[1] + row) * columns + first)
                target = block.ctypes.data + 4 * LANES * (model * block.shape[2] + row)
                for strip in range((last - first) // LANES):
                    place = target + 4 * LANES * strip * block.shape[1] * block.shape[2]
                    widen_strip(source + 2 * LANES * strip, place)
                for column in range(last - (last - first) % LANES, last):
                    strip, lane = (column - first) // LANES, (column - first) % LANES
                    block_bits[strip, model, row, lane] = np.uint32(bits[model, row, column]) << np.uint32(16)
        add_block(block, count, sums, first)


@njit("(float32[:, :, ::1], int64, float32[:, :, :, ::1], float64[:, :, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_products(
    values: NDArray[np.float32], count: int, block: NDArray[np.float32], sums: NDArray[np.float64]
) -> None:
    """sums[i, j, c] += sum over `count` rows of values[i, :, c] * values[j, :, c], for i >= j and a few more.

    values: [models, rows, columns]; block: as of `add_block`, zeros, as high as `values`; sums: [models, models,
    columns], models and columns rounded up to AT_ONCE and LANES.
    """
    models, _, columns = values.shape
    width = block.shape[0] * LANES
    for first in range(0, columns, width):
        for model in range(models):
            for row in range(count):
                for column in range(first, min(first + width, columns)):
                    block[(column - first) // LANES, model, row, column % LANES] = values[model, row, column]
        add_block(block, count, sums, first)


@njit("int64(float64[:, :, :], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_cosines(gram: NDArray[np.float64], totals: NDArray[np.float64], counts: NDArray[np.float64]) -> int:
    """totals[i, j] += each column's cosine of i and j, counts[i, j] += 1 for each column in which one is not zero.

    gram: [models, models, columns], i >= j; totals and counts: [models, models], both halves. Returns the first model
    with a number that is not finite, or -1.
    """
    models, _, columns = gram.shape
    lengths = np.empty((models, columns))
    for i in range(models):
        for c in range(columns):
            if not np.isfinite(gram[i, i, c]):
                return i
            lengths[i, c] = np.sqrt(max(gram[i, i, c], 0.0))
    for i in range(models):
        for j in range(i + 1):
            for c in range(columns):
                scale = lengths[i, c] * lengths[j, c]
                if lengths[i, c] > 0 or lengths[j, c] > 0:
                    counts[i, j] += 1
                if scale > 0:
                    totals[i, j] += min(1.0, max(-1.0, gram[i, j, c] / scale))
            totals[j, i], counts[j, i] = totals[i, j], counts[i, j]
    return -1
