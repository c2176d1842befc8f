"""The ledger: every completion, durable before it is handed on (SQLite, or PostgreSQL by a URL; group commit).

One per state folder, or per database. Completions are never changed or removed: a key that is present answers for
ever, so kill anything at any time, run the same command again, and nothing is generated twice. It does not protect
against the rows being edited from outside; `check` runs SQLite's own integrity check.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

from orchestrator.errors import StorageError
from orchestrator.inference.request import Completion
from orchestrator.inference.schedule.ledger_file import LedgerFile
from orchestrator.inference.schedule.ledger_rows import LedgerEntry, LedgerStorage

GROUP = 512
"""Most rows in one transaction."""

Stored = Future[dict[str, Completion]]
"""Done once everything is on disk; its result are those of the keys that had been stored before, as they are stored."""


class Ledger:
    """Reads from any thread; writes go through one thread that commits in groups."""

    def __init__(self, storage: Path | LedgerStorage) -> None:
        """A path is a SQLite file, opened or created. Raises `StorageError` if it cannot be used, or is from a newer
        version."""
        self._storage: LedgerStorage = LedgerFile(storage) if isinstance(storage, Path) else storage
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: queue.SimpleQueue[tuple[list[LedgerEntry], Stored] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_loop, name="ledger", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Where it is kept: a file's path, or a database without its password."""
        return self._storage.name

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """The completions that are known among `keys` (hex), each marked `cached`. Raises `StorageError`."""
        return self._storage.get(keys)

    def put(self, entries: Iterable[LedgerEntry]) -> Stored:
        """Queue completions; the future is done once they are on disk, or failed with `StorageError`. Its result are
        those that another process had stored before: key -> what is stored, which is what everybody is told."""
        done: Stored = Future()
        with self._lock:
            if not self._closed:
                self._waiting.put((list(entries), done))
                return done
        done.set_exception(StorageError(f"{self._storage.name}: the ledger is closed"))
        return done

    def count(self) -> int:
        """Number of stored completions."""
        return self._storage.count()

    def check(self) -> None:
        """Raise `StorageError` if SQLite finds the file damaged."""
        self._storage.check()

    def close(self) -> None:
        """Write what is queued, then close. Idempotent."""
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._waiting.put(None)
        self._thread.join()
        if first:
            self._storage.close()

    def _write_loop(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, rows, closing = [first], len(first[0]), False
            while rows < GROUP and not self._waiting.empty():
                item = self._waiting.get()
                if item is None:
                    closing = True
                    break
                group.append(item)
                rows += len(item[0])
            self._commit(group)
            if closing:
                return

    def _commit(self, group: list[tuple[list[LedgerEntry], Stored]]) -> None:
        error: StorageError | None = None
        lost: dict[str, Completion] = {}
        try:
            lost = self._storage.insert([entry for entries, _ in group for entry in entries])
        except Exception as problem:  # whatever it is, the waiting callers must hear of it
            why = f"cannot write the ledger ({problem}); nothing that was stored is lost"
            error = StorageError(f"{self._storage.name}: {why}")
        for entries, done in group:
            if error:
                done.set_exception(error)
            else:
                done.set_result({reply.key: lost[reply.key] for _, reply in entries if reply.key in lost})
