"""Files that only their owner may read: ledgers, jobs, keys, locks."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import StorageError


def private_file(path: Path) -> Path:
    """`path`, as a file of mode 0600 in a folder of mode 0700, both made where they are missing. What is there already
    keeps its content; a file that others could read no longer can be. Raises `StorageError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_mode & 0o077 and os.fstat(handle).st_uid == os.geteuid():
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}; set `state:` to a folder that can be"
        ) from error
    return path
