"""The ledger's rows in SQLite (WAL), one file per state folder."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import StorageError
from orchestrator.inference.request import Completion
from orchestrator.inference.schedule.ledger_rows import COLUMNS, LedgerEntry, completion, differing, row
from orchestrator.private_files import private_file

VERSION = 2
PART = 512
"""Most keys in one query."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    key BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, logprobs TEXT, seconds REAL NOT NULL,
    created REAL NOT NULL, upstream TEXT
)"""
_COLUMNS = ", ".join(COLUMNS)
_ADDED = {1: ("ALTER TABLE completions ADD COLUMN upstream TEXT",)}
"""Version -> what brings its file to the next one."""


class LedgerFile:
    """See `LedgerStorage`."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises `StorageError` if it cannot be used, or is from a newer version."""
        self.name = str(path)
        self._path = path
        self._lock = threading.Lock()
        with contextlib.ExitStack() as opened:
            try:
                private_file(path)
                self._reader = opened.enter_context(contextlib.closing(self._connect()))
                self._writer = opened.enter_context(contextlib.closing(self._connect()))
            except (sqlite3.Error, OSError) as error:
                raise StorageError(f"{path}: cannot open the ledger: {error}") from error
            opened.pop_all()

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """See `LedgerStorage`."""
        try:
            with self._lock:
                return _found(self._reader, keys)
        except sqlite3.Error as error:
            raise StorageError(f"{self.name}: cannot read the ledger: {error}") from error

    def insert(self, entries: Sequence[LedgerEntry]) -> dict[str, Completion]:
        """See `LedgerStorage`."""
        lost: dict[str, Completion] = {}
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            before = self._writer.total_changes
            self._writer.executemany(
                "INSERT OR IGNORE INTO completions VALUES (?,?,?,?,?,?,?,?,?,?)",
                (tuple(row(fingerprint, reply).values()) for fingerprint, reply in entries),
            )
            given = {reply.key: reply for _, reply in entries}
            if self._writer.total_changes - before < len(given):
                lost = differing(_found(self._writer, list(given)), given)
            self._writer.execute("COMMIT")
        except Exception:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                self._writer.execute("ROLLBACK")
            raise
        return lost

    def count(self) -> int:
        """See `LedgerStorage`."""
        return int(self._read("SELECT count(*) FROM completions")[0][0])

    def check(self) -> None:
        """See `LedgerStorage`."""
        answer = self._read("PRAGMA integrity_check")[0][0]
        if answer != "ok":
            raise StorageError(f"{self.name}: the ledger is damaged: {answer}")

    def close(self) -> None:
        """See `LedgerStorage`."""
        with self._lock:
            self._reader.close()
            self._writer.close()

    def _read(self, query: str) -> list[Any]:
        try:
            with self._lock:
                return self._reader.execute(query).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.name}: cannot read the ledger: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False, isolation_level=None)
        with contextlib.ExitStack() as opened:
            opened.enter_context(contextlib.closing(connection))
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StorageError(f"{self._path}: written by a newer Collegium (ledger version {version})")
            connection.execute(_SCHEMA)
            if version < VERSION:
                _bring_up_to_date(connection)
            opened.pop_all()
        return connection


def _found(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Completion]:
    found: dict[str, Completion] = {}
    for start in range(0, len(keys), PART):
        part = [bytes.fromhex(key) for key in keys[start : start + PART]]
        marks = ",".join("?" * len(part))
        rows: Iterable[Any] = connection.execute(f"SELECT {_COLUMNS} FROM completions WHERE key IN ({marks})", part)
        found.update((one[0].hex(), completion(one)) for one in rows)
    return found


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Several processes may open an old file at once: one of them changes it."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for old in range(version or VERSION, VERSION):
        for statement in _ADDED[old]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")
