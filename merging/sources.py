"""From the names in a recipe to opened models, and from a model's tensor to what is read of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, widen
from merging.checkpoint import Adapter, Checkpoint, CheckpointError, TensorInfo, read_header
from merging.gguf import GgufCheckpoint
from merging.recipe import ModelRef
from merging.slab import Plain
from merging.stack import Slab
from merging.stream import Model

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")


def open_model(ref: ModelRef) -> Model:
    """Open a checkpoint (a folder, a hub id, a GGUF file) and its adapter: headers only. Raises `CheckpointError`."""
    file = Path(ref.model).expanduser()
    checkpoint = GgufCheckpoint(file) if file.suffix == ".gguf" else Checkpoint(located(ref.model, ref.revision))
    return checkpoint, Adapter(located(ref.adapter, ref.adapter_revision), checkpoint) if ref.adapter else None


def located(name: str, revision: str | None) -> Path:
    """The folder itself, or the hub's copy of it (safetensors and JSON only). Raises `CheckpointError`."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"{name}: no such folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CheckpointError(f"{name}: no such folder (and without huggingface_hub no hub can be asked)") from None
    try:
        patterns = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "README.md"]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{name}: no such folder, and no hub has it: {type(error).__name__}: {text}") from error


def slab_of(checkpoint: Checkpoint, name: str, adapter: Adapter | None, allow_nan: bool) -> Slab:
    """One tensor of a model, with its adapter's share; 8-bit ones are multiplied with their scales."""
    if checkpoint.tensors[name].dtype.startswith("F8"):
        if adapter is not None and name in adapter.pairs:
            raise CheckpointError(f"{adapter.folder}: an adapter over the 8-bit tensor {name!r} cannot be merged")
        return EightBit(checkpoint, name, allow_nan)
    return Plain(checkpoint, name, adapter, allow_nan)


@dataclass(frozen=True)
class EightBit:
    """A tensor of 8-bit floats and its scales: one for all, one a row, or one a tile (as DeepSeek writes them)."""

    checkpoint: Checkpoint
    name: str
    allow_nan: bool = False

    @property
    def label(self) -> str:
        """The tensor's file and name, for errors."""
        return f"{self.checkpoint.tensors[self.name].file}: tensor {self.name!r}"

    def read(self, start: int, stop: int, out: Work) -> None:
        """Elements [start, stop), times their scale, into `out` (stop - start,). Raises `CheckpointError`."""
        info = self.checkpoint.tensors[self.name]
        raw = self.checkpoint.array(self.name).reshape(-1)[start:stop]
        out[:] = eight_bit_values(info.dtype)[raw]
        scale = self.checkpoint.scale_of(self.name)
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
            # Tiles are powers of two wide, the last ones cut off: their edge follows from how many there are.
            edges = [_tile(size, count) for size, count in zip(info.shape, scales.shape, strict=True)]
            by_tile: NDArray[Any] = scales[rows // edges[0], inside // edges[1]]
            return by_tile
        raise CheckpointError(f"{held.file}: scales {list(held.shape)} do not fit {self.name!r} {list(info.shape)}")


def _tile(size: int, count: int) -> int:
    edge = 1
    while -(-size // edge) > count:
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


class ActivationStatistics:
    """Safetensors files with a tensor for each weight of that name, opened once."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[dict[str, TensorInfo], NDArray[np.uint8]]] = {}

    def __call__(self, path: str, name: str) -> Slab | None:
        """What the file holds about tensor `name`, if anything. Raises `CheckpointError`."""
        if path not in self._files:
            infos = read_header(Path(path))
            self._files[path] = infos, np.memmap(path, dtype=np.uint8, mode="r")
        infos, mapped = self._files[path]
        info = infos.get(name)
        if info is None:
            return None
        if info.dtype not in ("F32", "F16", "BF16"):
            raise CheckpointError(f"{path}: tensor {name!r} is {info.dtype}, wanted floats")
        return _Gathered(f"{path}: tensor {name!r}", info, mapped)


@dataclass(frozen=True)
class _Gathered:
    label: str
    info: TensorInfo
    mapped: NDArray[np.uint8]

    def read(self, start: int, stop: int, out: Work) -> None:
        kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[self.info.dtype]
        bits = np.frombuffer(self.mapped[self.info.start : self.info.stop], kind)[start:stop]
        out[:] = widen(bits, self.info.dtype, out.dtype)
        if not np.isfinite(out).all():
            raise CheckpointError(f"{self.label}: not all finite numbers")
