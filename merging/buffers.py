"""Arrays that a thread uses again and again, and how stored bits become numbers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""Elements at a time. Smaller ones would stay in a core's second-level cache; but each call into compiled code or the
system lets go of the interpreter's lock, and with two threads waiting for it again costs more than the cache saves."""

LINE = 64
"""Bytes of a line of the processor's cache."""

Work = NDArray[np.floating[Any]]
"""Numbers as they are computed with: float32, or float64 where a checkpoint holds float64."""

_buffers = threading.local()


def scratch(name: str, size: int, dtype: Any) -> NDArray[Any]:
    """`size` elements of this thread's buffer called `name`, shape (size,).

    The next caller of the same name overwrites them. The buffer begins with a line of the cache: vectors that cross
    two lines take twice as long.
    """
    buffers: dict[str, NDArray[Any]] = _buffers.__dict__
    key = name + np.dtype(dtype).str
    if key not in buffers or buffers[key].size < size:
        wanted = max(size, BLOCK) * np.dtype(dtype).itemsize
        memory = np.empty(wanted + LINE, np.uint8)
        first = -memory.ctypes.data % LINE
        buffers[key] = memory[first : first + wanted].view(dtype)
    return buffers[key][:size]


def widen(raw: NDArray[Any], kind: str, dtype: np.dtype[Any]) -> Work:
    """Stored bits of the safetensors type `kind` as numbers of type `dtype`, in the same shape."""
    if kind == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(dtype)
    return raw.astype(dtype)
