"""Write a checkpoint: files laid out first, filled in place from several threads, shown under their name at the end.

Everything is written into a hidden folder beside the wanted one, which is renamed when it is complete. What a killed
merge leaves behind bears no model's name, and the next merge to the same place removes it. Not covered: power loss
(nothing is forced to the disk).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE

SHARD_BYTES = 5_000_000_000
WEIGHTS_FILE = "model.safetensors"
"""The one file of weights, where there is one."""
TEMPORARY = ".{name}.merging"


class WriteError(ValueError):
    """The result cannot be written; the message names folder and cause."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor's bytes go."""

    shard: int
    offset: int


class Writer:
    """A checkpoint in the making: `with Writer(...) as writer: writer.write(...); writer.finish()`.

    Leaving the block without `finish` removes everything.
    """

    def __init__(self, out: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], shard_bytes: int = SHARD_BYTES):
        """`tensors`: name -> (safetensors type, shape), in the order of the files. Raises `WriteError`: the folder
        is taken, another merge writes there, or the disk has too little room."""
        self.out = out.absolute()
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise WriteError(f"{out}: exists already; remove it or choose another folder")
        self._shards = _divide(tensors, shard_bytes)
        self._descriptors: list[int] = []
        self._places: dict[str, TensorPlace] = {}
        self.folder = self.out.with_name(TEMPORARY.format(name=self.out.name))
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._claimed()
        except OSError as error:
            raise WriteError(f"{out}: cannot be written: {error.strerror}") from error
        try:
            self._lay_out(tensors)
        except OSError as error:
            self._discard()
            raise _write_error(out, error, sum(_bytes(*entry) for entry in tensors.values())) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptors or self.folder.exists():
            self._discard()

    @property
    def files(self) -> list[str]:
        """The names of the safetensors files, in order."""
        if len(self._shards) == 1:
            return [WEIGHTS_FILE]
        count = len(self._shards)
        return [f"model-{number + 1:05d}-of-{count:05d}.safetensors" for number in range(count)]

    def write(self, name: str, start: int, bits: NDArray[Any]) -> None:
        """Put `bits` (elements,) at the tensor's element `start`. Any thread, any order. Raises `WriteError`."""
        place = self._places[name]
        view, offset = np.ascontiguousarray(bits).data.cast("B"), place.offset + start * bits.itemsize
        try:
            while view:
                written = os.pwrite(self._descriptors[place.shard], view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise _write_error(self.out, error) from error

    def finish(self) -> None:
        """Show the result under its name. Raises `WriteError`."""
        try:
            self._close()
            if self.out.exists():
                self.out.rmdir()
            self.folder.rename(self.out)
            self._release()
        except OSError as error:
            raise _write_error(self.out, error) from error

    def _claimed(self) -> int:
        """The lock on the temporary folder, whose leftovers are removed. The lock dies with its process."""
        lock = os.open(self.folder.with_name(f"{self.folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise WriteError(f"{self.out}: another merge is writing there") from None
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        return lock

    def _lay_out(self, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        weight_map: dict[str, str] = {}
        for number, (file, names) in enumerate(zip(self.files, self._shards, strict=True)):
            header, ends = _header({name: tensors[name] for name in names})
            descriptor = os.open(self.folder / file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            self._descriptors.append(descriptor)
            os.pwrite(descriptor, header, 0)
            position = len(header)
            for name in names:
                self._places[name] = TensorPlace(number, position)
                position += ends[name]
            _reserve(descriptor, position)
            weight_map |= dict.fromkeys(names, file)
        if len(self._shards) > 1:
            total = sum(_bytes(*entry) for entry in tensors.values())
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (self.folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        # Removed while the lock is held: who opened it meanwhile holds a lock on a nameless file and claims anew.
        with contextlib.suppress(OSError):
            self.folder.with_name(f"{self.folder.name}.lock").unlink()
        os.close(self._lock)


def _divide(tensors: Mapping[str, tuple[str, tuple[int, ...]]], limit: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    held = 0
    for name, entry in tensors.items():
        size = _bytes(*entry)
        if shards[-1] and held + size > limit:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    return shards


def _header(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[bytes, dict[str, int]]:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position, sizes = 0, {}
    for name, (dtype, shape) in tensors.items():
        sizes[name] = _bytes(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + sizes[name]]}
        position += sizes[name]
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, sizes


def _bytes(dtype: str, shape: Iterable[int]) -> int:
    return math.prod(shape) * np.dtype(STORAGE[dtype]).itemsize


def _reserve(descriptor: int, size: int) -> None:
    """Take the disk's room now: a full disk is told before the work, not at its end."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(descriptor, size)


def _write_error(out: Path, error: OSError, wanted: int = 0) -> WriteError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        need = f", {wanted / 1e9:.1f} GB are needed" if wanted else ""
        return WriteError(f"{out}: no room on the disk{need}; nothing was left behind")
    return WriteError(f"{out}: cannot be written: {error.strerror}")
