"""Tensors of 8-bit floats, multiplied with their scales."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, widen
from merging.checkpoint import Checkpoint, CheckpointError, TensorInfo


def scale_of(checkpoint: Checkpoint, name: str) -> str | None:
    """The tensor that holds the scales of an 8-bit one, if there is one."""
    names = (f"{name}_scale_inv", f"{name}_scale", f"{name.removesuffix('.weight')}.weight_scale")
    return next((other for other in names if other in checkpoint.tensors), None)


def is_scale(checkpoint: Checkpoint, name: str) -> bool:
    """The tensor belongs to an 8-bit one and means nothing alone."""
    owner = re.sub(r"_scale(?:_inv)?$", "", name)
    return owner != name and owner in checkpoint.tensors and checkpoint.tensors[owner].dtype.startswith("F8")


@dataclass(frozen=True)
class EightBit:
    """A tensor of 8-bit floats and its scales: one for all, one a row, or one a tile (as DeepSeek writes them)."""

    checkpoint: Checkpoint
    name: str
    allow_nan: bool = False

    @property
    def label(self) -> str:
        """The file and the tensor, for errors."""
        return f"{self.checkpoint.tensors[self.name].file}: tensor {self.name!r}"

    def read(self, start: int, stop: int, out: Work) -> None:
        """Write the values [start, stop) of the flattened tensor to `out`. Raises `CheckpointError` for values that
        are no numbers."""
        info = self.checkpoint.tensors[self.name]
        raw = self.checkpoint.array(self.name).reshape(-1)[start:stop]
        out[:] = eight_bit_values(info.dtype)[raw]
        scale = scale_of(self.checkpoint, self.name)
        if scale is not None:
            out *= self._scales(info, self.checkpoint.tensors[scale], start, stop)
        if not self.allow_nan and not np.isfinite(out).all():
            raise CheckpointError(f"{self.label}: not all finite numbers (--allow-nan merges them all the same)")

    def _scales(self, info: TensorInfo, held: TensorInfo, start: int, stop: int) -> NDArray[Any]:
        scales = widen(self.checkpoint.array(held.name), held.dtype, np.dtype(np.float32))
        columns = math.prod(info.shape[1:])
        if scales.size == 1:
            return scales.reshape(-1)
        places = np.arange(start, stop)
        rows, inside = places // columns, places % columns
        if scales.shape in ((info.shape[0],), (info.shape[0], 1)):
            by_row: NDArray[Any] = scales.reshape(-1)[rows]
            return by_row
        if scales.ndim == 2 and len(info.shape) == 2:
            # The last tiles are cut off.
            edges = [_tile(*each) for each in zip(info.shape, scales.shape, self._stated_edges(), strict=True)]
            by_tile: NDArray[Any] = scales[rows // edges[0], inside // edges[1]]
            return by_tile
        raise CheckpointError(f"{held.file}: scales {list(held.shape)} do not fit {self.name!r} {list(info.shape)}")

    def _stated_edges(self) -> Sequence[int | None]:
        """Rows and columns of a tile, where config.json says so."""
        config = self.checkpoint.config
        inner = config.get("text_config")
        for section in (config, inner if isinstance(inner, dict) else {}):
            settings = section.get("quantization_config")
            stated = settings.get("weight_block_size") if isinstance(settings, dict) else None
            if isinstance(stated, list) and len(stated) == 2 and all(type(edge) is int and edge > 0 for edge in stated):
                return stated
        return None, None


def _tile(size: int, count: int, stated: int | None) -> int:
    """The edge of tiles: as stated, else the power of two that makes so many of them."""
    edge = stated or 1
    while stated is None and -(-size // edge) > count:
        edge *= 2
    if -(-size // edge) != count:
        raise CheckpointError(f"{count} scales do not divide {size} rows or columns into tiles")
    return edge


@cache
def eight_bit_values(dtype: str) -> NDArray[np.float32]:
    """The 256 values of F8_E4M3 (no infinities) or F8_E5M2: https://arxiv.org/abs/2209.05433."""
    exponent_bits, mantissa_bits, bias = (4, 3, 7) if dtype == "F8_E4M3" else (5, 2, 15)
    code = np.arange(256)
    exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    value = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - float(bias)))
    if dtype == "F8_E4M3":
        value[(code & 0x7F) == 0x7F] = np.nan
    else:
        value[(exponent == 31) & (fraction == 0)] = np.inf
        value[(exponent == 31) & (fraction > 0)] = np.nan
    return np.where(code >> 7, -value, value).astype(np.float32)
