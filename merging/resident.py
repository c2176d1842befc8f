"""Mapped files whose pages are there before anything reads them.

A page that is touched without being there costs an exception each; a file that has become shorter ends the process.
Asked for by one call, pages cost a fifth of that (and of copying them), and what is missing is an answer. Linux 5.14
and later; elsewhere the answer is no, and callers read the file.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_POPULATE_READ = 22
"""madvise: bring pages in for reading; MADV_POPULATE_READ, which Python's mmap has no name for."""
_SEQUENTIAL = 2
_DONT_NEED = 4
_libc = ctypes.CDLL(None, use_errno=True)


def _advise(array: NDArray[Any], start: int, stop: int, advice: int) -> bool:
    first = int(array.__array_interface__["data"][0]) + start
    page = first - first % mmap.PAGESIZE
    size = first + stop - start - page
    return bool(_libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(size), advice) == 0)


def read_in_order(mapped: NDArray[np.uint8]) -> None:
    """Say that the file will be read from the front: the disk reads ahead."""
    _advise(mapped, 0, mapped.size, _SEQUENTIAL)


def resident(mapped: NDArray[np.uint8], start: int, stop: int) -> bool:
    """Bring in the bytes [start, stop) of a mapped file. False: they are not all there, or the system cannot."""
    return _advise(mapped, start, stop, _POPULATE_READ)


def let_go(mapped: NDArray[np.uint8], start: int, stop: int) -> None:
    """Leave the bytes [start, stop) of a mapped file that nobody wrote to in the page cache alone, which the system
    takes back as it likes. Whoever reads them again brings them in again."""
    _advise(mapped, start, stop, _DONT_NEED)
