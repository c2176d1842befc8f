"""Read safetensors checkpoints: headers checked, tensors memory-mapped, nothing copied.

Files come from strangers. A header is believed only after its size, offsets, shapes and types agree with one
another and with the file; an index names files of its own folder only; pickles are not read at all. What is not
checked: the numbers themselves (a NaN is a number here), and that nobody rewrites a mapped file in place.

Format: https://github.com/huggingface/safetensors#format. NumPy has no bfloat16 and no 8-bit float: their bits
come as uint16 and uint8.
"""

from __future__ import annotations

import json
import math
import os
import stat
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.resident import let_go, read_in_order, resident

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
MAX_TENSORS = 200_000
"""Of one file: whole mixtures of experts have at most 140,000."""
MAX_JSON_BYTES = 64_000_000

STORAGE: Mapping[str, str] = MappingProxyType(
    {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "F8_E5M2": "u1"}
    | {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2"}
    | {"U8": "u1", "BOOL": "?"}
)
"""safetensors type -> NumPy type of its bits."""


FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""Types that can be computed with."""


class CheckpointError(ValueError):
    """A checkpoint or adapter that cannot be used; the message names the file and the tensor."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as its file's header describes it. `start` and `stop` are byte offsets in the file."""

    name: str
    dtype: str
    """safetensors' name: BF16, F16, F32, ..."""
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int


@dataclass(frozen=True)
class CheckpointContent:
    """What the files of a checkpoint say: its configuration and where its tensors are."""

    config: dict[str, Any]
    files: tuple[Path, ...]
    tensors: Mapping[str, TensorInfo]
    tied: bool
    """The output layer is the embedding; the file has no tensor of its own for it."""

    @classmethod
    def of(
        cls, config: dict[str, Any], files: tuple[Path, ...], tensors: Mapping[str, TensorInfo]
    ) -> CheckpointContent:
        """With a tied output layer where the configuration says so."""
        tied = bool(config.get("tie_word_embeddings")) and "lm_head.weight" not in tensors
        return cls(config, files, MappingProxyType(tensors), tied)


class Checkpoint:
    """A folder with `config.json` and `model.safetensors` (or several files and their index)."""

    def __init__(self, folder: Path, content: CheckpointContent | None = None) -> None:
        """`content`: what a subclass has read of another format; None: the folder's safetensors. Raises
        `CheckpointError` if anything is missing, truncated or contradictory."""
        self.folder = Path(folder)
        plain = content is None
        content = content or _content(self.folder)
        self.config, self.files, self.tensors, self.tied = content.config, content.files, content.tensors, content.tied
        self._maps = {file: np.memmap(file, dtype=np.uint8, mode="c") for file in self.files} if plain else {}
        self._in_order: set[Path] = set()
        self._kept: dict[Path, NDArray[Any]] = {}
        self._opened: dict[Path, int] = {}
        self._opening = threading.Lock()

    @property
    def bytes(self) -> int:
        """Size of all weights files together."""
        return sum(file.stat().st_size for file in self.files)

    def read_into(self, name: str, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (elements,) with the tensor's bits from element `start` on: with threads, quicker than the map.

        Raises `CheckpointError` if the file has become shorter, `IndexError` beyond the tensor, where the next one is.
        """
        info = self.tensors[name]
        offset = info.start + start * out.itemsize
        if offset + out.nbytes > info.stop:
            raise IndexError(f"{info.file}: tensor {name!r}: {out.size} elements from {start} on are not all its own")
        if os.preadv(self._descriptor(info.file), [out.data], offset) != out.nbytes:
            raise CheckpointError(f"{info.file}: tensor {name!r}: the file has changed while it was read")

    def in_place(self, name: str, start: int, stop: int) -> NDArray[Any] | None:
        """Elements [start, stop) of the flattened tensor where they lie in memory already, brought in; None where that
        cannot be: `read_into` reads them."""
        info = self.tensors[name]
        held, mapped, kind = self._kept.get(info.file), self._maps.get(info.file), np.dtype(STORAGE[info.dtype])
        first, last = info.start + start * kind.itemsize, info.start + stop * kind.itemsize
        if first % kind.itemsize or last > info.stop:
            return None
        if held is None:
            if mapped is None:
                return None
            if info.file not in self._in_order:
                self._in_order.add(info.file)
                read_in_order(mapped)
            if not resident(mapped, first, last):
                return None
            held = mapped
        return held[first:last].view(np.ndarray).view(kind)

    def let_go(self, name: str, start: int, stop: int) -> None:
        """What `in_place` gave is done with: it counts as this process's memory no longer."""
        info, mapped = self.tensors[name], self._maps.get(self.tensors[name].file)
        if mapped is not None and info.file not in self._kept:
            width = np.dtype(STORAGE[info.dtype]).itemsize
            let_go(mapped, info.start + start * width, info.start + stop * width)

    def _descriptor(self, file: Path) -> int:
        if file in self._opened:  # without the lock, for which threads wait
            return self._opened[file]
        with self._opening:
            if file not in self._opened:
                self._opened[file] = os.open(file, os.O_RDONLY)
                weakref.finalize(self, os.close, self._opened[file])
            return self._opened[file]

    def array(self, name: str) -> NDArray[Any]:
        """The tensor's bits, mapped (shape as stored; bfloat16 as uint16). Writing to it changes no file."""
        file = self.tensors[name].file
        kept = self._kept.get(file)
        return view(self.tensors[name], self._maps[file] if kept is None else kept)

    @property
    def mapped(self) -> Mapping[Path, NDArray[Any]]:
        """The bytes of the files whose tensors are read as they lie there."""
        return self._maps

    def keep(self, file: Path, content: NDArray[Any] | None) -> None:
        """Read the file's tensors from `content` (its bytes) from now on; None: from the file again."""
        if content is None:
            self._kept.pop(file, None)
        else:
            self._kept[file] = content


def ties(config: Mapping[str, Any]) -> bool | None:
    """Whether config.json ties the output layer to the embedding; None where it does not say."""
    inner = config.get("text_config")
    for section in (config, inner if isinstance(inner, dict) else {}):
        if isinstance(section.get("tie_word_embeddings"), bool):
            return bool(section["tie_word_embeddings"])
    return None


def _content(folder: Path) -> CheckpointContent:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    config, files = json_object(folder / "config.json"), _weight_files(folder)
    return CheckpointContent.of(config, files, _listing(folder, files))


def read_header(file: Path) -> dict[str, TensorInfo]:
    """The tensors of one safetensors file, by name. Raises `CheckpointError`."""
    try:
        regular(file)
        size = file.stat().st_size
        with file.open("rb") as stream:
            prefix = stream.read(8)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise CheckpointError(f"{file}: truncated, or not a safetensors file ({size} bytes)")
            raw = stream.read(length)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        header = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: the header is not valid JSON: {error}") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{file}: the header is not a JSON object")
    if len(header) > MAX_TENSORS:
        raise CheckpointError(f"{file}: {len(header):,} tensors, more than {MAX_TENSORS:,}")
    header.pop("__metadata__", None)
    tensors = [_tensor(file, name, entry, 8 + length) for name, entry in header.items()]
    position = 8 + length
    for info in sorted(tensors, key=lambda info: (info.start, info.stop)):
        if info.stop > size:
            raise CheckpointError(f"{file}: truncated: tensor {info.name!r} ends at {info.stop} of {size} bytes")
        if info.start != position:
            raise CheckpointError(f"{file}: tensor {info.name!r} overlaps another or leaves a hole before it")
        position = info.stop
    if position != size:
        raise CheckpointError(f"{file}: {size - position} bytes after the last tensor")
    return {info.name: info for info in tensors}


def _tensor(file: Path, name: str, entry: Any, origin: int) -> TensorInfo:
    where = f"{file}: tensor {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: wants dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORAGE:
        raise CheckpointError(f"{where}: unknown type {str(dtype)[:40]!r}")
    if not _naturals(shape) or len(shape) > 8:
        raise CheckpointError(f"{where}: bad shape {str(shape)[:80]}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where}: bad data_offsets {str(offsets)[:80]}")
    wanted = math.prod(shape) * np.dtype(STORAGE[dtype]).itemsize
    if offsets[1] - offsets[0] != wanted:
        raise CheckpointError(f"{where}: {dtype} of shape {shape} takes {wanted} bytes, the header says {offsets}")
    return TensorInfo(name, dtype, tuple(shape), file, origin + offsets[0], origin + offsets[1])


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**62 for item in value)


def view(info: TensorInfo, mapped: NDArray[np.uint8]) -> NDArray[Any]:
    """The tensor, of its shape, over the mapped bytes of its file; a copy where they are not aligned."""
    # A header of odd length leaves tensors unaligned: NumPy reads them, torch does not promise to.
    view = mapped[info.start : info.stop].view(np.ndarray).view(np.dtype(STORAGE[info.dtype]))
    return (view if view.flags.aligned else view.copy()).reshape(info.shape)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        single = folder / "model.safetensors"
        if not single.exists():
            others = sorted(file.name for file in folder.glob("*.safetensors")) if folder.is_dir() else []
            found = (
                f"; {others[0]} belongs to no index: is the download complete?" if others else " (pickles are not read)"
            )
            raise CheckpointError(f"{folder}: neither model.safetensors nor {index.name}{found}")
        return (single,)
    names = set(_weight_map(index).values())
    for name in names:
        # Hub caches link into a store beside the folder: the name must be plain, the link is the user's own.
        if not name.endswith(".safetensors") or "\0" in name or Path(name).name != name or "\\" in name:
            raise CheckpointError(f"{index}: {name[:80]!r} is not the name of a safetensors file in this folder")
    if "model.safetensors" not in names and (folder / "model.safetensors").exists():
        raise CheckpointError(
            f"{folder}: holds two models: model.safetensors, and the files of {index.name}, which does not name it; "
            "libraries differ in which one they load: remove one"
        )
    return tuple(folder / name for name in sorted(names))


def _weight_map(index: Path) -> dict[str, str]:
    weights = json_object(index).get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise CheckpointError(f"{index}: weight_map must map tensor names to file names")
    return weights


def _listing(folder: Path, files: tuple[Path, ...]) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    for file in files:
        for name, info in read_header(file).items():
            if name in tensors:
                raise CheckpointError(f"{file}: tensor {name!r} is in {tensors[name].file.name} too")
            tensors[name] = info
    index = folder / "model.safetensors.index.json"
    if index.exists():
        for name, file_name in _weight_map(index).items():
            if name not in tensors or tensors[name].file.name != file_name:
                raise CheckpointError(f"{index}: tensor {name!r} is missing from {file_name}")
    if not tensors:
        raise CheckpointError(f"{folder}: no tensors")
    return tensors


def regular(file: Path) -> None:
    """Raises `CheckpointError` for a pipe or a device, which would be read without an end; `OSError` for nothing."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise CheckpointError(f"{file}: not a regular file")


def json_object(file: Path) -> dict[str, Any]:
    """A JSON object of bounded size. Raises `CheckpointError`."""
    try:
        regular(file)
        if file.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{file}: larger than {MAX_JSON_BYTES} bytes")
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from error
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found
