"""What was gathered about models' activations: safetensors files with a tensor for each weight of that name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, widen
from merging.checkpoint import CheckpointError, TensorInfo, read_header
from merging.naming import common_name, common_names
from merging.settings import RecipeError
from merging.stack import Slab


class ActivationStatistics:
    """The files of one merge, opened once; in the end it knows which weights none of them is about."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[dict[str, TensorInfo], NDArray[np.uint8]]] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._matched: dict[str, set[str]] = {}
        self._without: list[str] = []
        self._method = ""

    def of(
        self, method: str, paths: Sequence[str], names: Sequence[str], shape: tuple[int, ...]
    ) -> tuple[Slab | None, ...]:
        """What each source's file holds about its tensor; all None where none of them does.

        Raises `CheckpointError`: some have it and others do not, or it does not fit a tensor of this shape.
        """
        self._method = method
        wanted = shape if method == "fisher" else (shape[-1], shape[-1]) if len(shape) == 2 else None
        found = [self._slab(path, name, wanted) for path, name in zip(paths, names, strict=True)]
        lacking = [path for path, slab in zip(paths, found, strict=True) if slab is None]
        if lacking and len(lacking) < len(found):
            raise CheckpointError(f"{lacking[0]}: no tensor {names[0]!r}, about which other statistics say something")
        if lacking:
            self._without.append(names[0])
        return tuple(found)

    def notes(self) -> list[str]:
        """What the reader should know. Raises `RecipeError` where a file is about none of the weights."""
        notes = []
        for path, (infos, _) in self._files.items():
            matched = self._matched.get(path, set())
            if not matched:
                raise RecipeError(
                    f"{self._method}: statistics {path}: none of its {len(infos)} tensors is about a weight that is "
                    f"merged ({next(iter(infos), 'it is empty')})"
                )
            over = [name for name in infos if name not in matched]
            if over:
                notes.append(f"statistics {path}: {len(over)} tensors fit no weight, {over[0]} first")
        if self._without:
            notes.append(f"{self._method}: no statistics, so averaged: {', '.join(self._without)}")
        return notes

    def _slab(self, path: str, name: str, wanted: tuple[int, ...] | None) -> Slab | None:
        infos, mapped = self._opened(path)
        own = name if name in infos else self._names[path].get(common_name(name))
        if own is None or wanted is None:
            return None
        info = infos[own]
        if info.dtype not in ("F32", "F16", "BF16"):
            raise CheckpointError(f"{path}: tensor {own!r} is {info.dtype}, wanted floats")
        if math.prod(info.shape) != math.prod(wanted):
            raise CheckpointError(f"{path}: tensor {own!r} is {list(info.shape)}, wanted {list(wanted)}")
        self._matched.setdefault(path, set()).add(own)
        return _Gathered(f"{path}: tensor {own!r}", info, mapped)

    def _opened(self, path: str) -> tuple[dict[str, TensorInfo], NDArray[np.uint8]]:
        if path not in self._files:
            self._files[path] = read_header(Path(path)), np.memmap(path, dtype=np.uint8, mode="r")
            self._names[path] = common_names(self._files[path][0])
        return self._files[path]


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
