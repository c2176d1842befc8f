"""SHA-256 of files, once: remembered by path, size, time and inode; new ones hashed on all cores."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPORTED_BYTES = 4 << 30
"""From here on hashing takes long enough to be announced."""


class FileHashes:
    """What is known, and kept in `path`.

    A file that is rewritten in place within the clock's resolution and to the same size would keep its old hash.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self._changed = False
        self._lock = threading.Lock()
        try:
            known = json.loads(path.read_text("utf-8"))
            self._known = {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
        except (OSError, ValueError):
            pass  # a cache: without it everything is hashed again

    def __call__(self, file: Path) -> str:
        """The file's SHA-256; read again only if its path, size, time or inode changed."""
        return self._of(_key(file), lambda: _hashed(file))

    def derived(self, what: str, folder: Path, files: Sequence[Path], compute: Callable[[Path], str]) -> str:
        """What `compute` says of the folder, remembered as long as `files` stay the same."""
        return self._of(f"{what}|" + "|".join(_key(file) for file in files), lambda: compute(folder))

    def prepare(self, files: Iterable[Path]) -> None:
        """Hash what is not known yet, several files at once. Says so on stderr where it will take long."""
        new = [file for file in dict.fromkeys(files) if _key(file) not in self._known]
        size = sum(file.stat().st_size for file in new)
        threads = min(len(new), os.cpu_count() or 1)
        if size > REPORTED_BYTES:
            print(f"hashing {size / 2**30:.0f} GiB of weights, once, on {threads} cores", file=sys.stderr, flush=True)
        if len(new) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(self, sorted(new, key=lambda file: -file.stat().st_size)))

    def save(self) -> None:
        """Keep what was learnt; a folder that cannot be written is no error here."""
        if not self._changed:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            os.replace(temporary, self._path)
        except OSError:
            temporary.unlink(missing_ok=True)

    def _of(self, key: str, compute: Callable[[], str]) -> str:
        if key not in self._known:
            value = compute()
            with self._lock:
                self._known[key] = value
                self._changed = True
        return self._known[key]


def _key(file: Path) -> str:
    stat = file.stat()
    return f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"


def _hashed(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
