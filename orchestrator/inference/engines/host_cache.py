"""Weight files kept whole in memory from which a card copies at the bus's speed: pinned where there is CUDA.

Filled by read-ahead, on a thread of its own, from the very mapping that the checkpoint reads, so that what is kept is
what would have been read. What does not fit stays mapped and streams from disk. On a CPU the same code keeps ordinary
memory, which gains nothing over the system's own cache of files: `workers.host_gib` is 0 unless it is set.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import Checkpoint

LOGGER = logging.getLogger(__name__)
PIECE = 64 << 20
"""Bytes copied at a time: between two pieces a copy that nobody wants any more ends."""

Key = tuple[int, Path]


class HostCache:
    """Files of opened checkpoints, those used longest ago given up first."""

    def __init__(self, limit: int = 0) -> None:
        """`limit`: bytes."""
        self._limit = limit
        self._kept: OrderedDict[Key, tuple[weakref.ref[Checkpoint], int]] = OrderedDict()
        self._lock = threading.Lock()
        self._filling = threading.Lock()

    @property
    def limit(self) -> int:
        """Bytes that may be kept."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        with self._lock:
            self._give_up(0, frozenset())

    @property
    def bytes(self) -> int:
        """Bytes that are kept."""
        with self._lock:
            return sum(size for _, size in self._kept.values())

    def fill(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep the files of these checkpoints, as many as fit. Any thread; one fills at a time."""
        wanted = {(id(one), file): one for one in checkpoints for file in one.mapped}
        with self._filling:
            for (number, file), checkpoint in wanted.items():
                key = (number, file)
                size = checkpoint.mapped[file].size
                with self._lock:
                    self._forget()
                    if key in self._kept:
                        self._kept.move_to_end(key)
                        continue
                    if not self._give_up(size, frozenset(wanted)):
                        continue
                    self._kept[key] = weakref.ref(checkpoint), size
                copy = _copied(checkpoint.mapped[file])
                with self._lock:
                    if key in self._kept:  # the limit may have become smaller meanwhile
                        checkpoint.keep(file, copy)

    def _give_up(self, size: int, wanted: frozenset[Key]) -> bool:
        """Make room for `size` bytes, of which none is taken from `wanted`. False: there is no room."""
        total = sum(held for _, held in self._kept.values())
        spare = [key for key in self._kept if key not in wanted]
        if total - sum(self._kept[key][1] for key in spare) + size > self._limit:
            return False
        for key in spare:
            if total + size <= self._limit:
                break
            owner, held = self._kept.pop(key)
            total -= held
            if (checkpoint := owner()) is not None:
                checkpoint.keep(key[1], None)
        return True

    def _forget(self) -> None:
        """Drop the entries of checkpoints that nobody has open any more: their memory went with them."""
        for key in [key for key, (owner, _) in self._kept.items() if owner() is None]:
            del self._kept[key]


def _copied(source: NDArray[Any]) -> NDArray[Any]:
    """A copy (bytes,), pinned where there is CUDA."""
    import torch

    whole = torch.empty(source.size, dtype=torch.uint8)
    cuda: Any = torch.cuda
    if cuda.is_available() and cuda.is_initialized():
        _pin(whole)
    target: NDArray[Any] = whole.numpy()
    for start in range(0, source.size, PIECE):
        np.copyto(target[start : start + PIECE], source[start : start + PIECE])
    return target


def _pin(whole: Any) -> None:
    """Register the memory with CUDA. torch's own pinned allocator rounds sizes up to a power of two and keeps what is
    freed."""
    import torch

    address = whole.data_ptr()
    cuda: Any = torch.cuda
    runtime = cuda.cudart()
    if code := int(runtime.cudaHostRegister(address, whole.numel(), 0)):
        LOGGER.warning("weights are kept in ordinary memory: CUDA did not pin it (error %d)", code)
        return
    weakref.finalize(whole.untyped_storage(), runtime.cudaHostUnregister, address)
