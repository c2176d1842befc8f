"""Jobs and their logs, in SQLite: what was accepted is on disk before the client hears so."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import StorageError
from orchestrator.private_files import private_file

VERSION = 1
MAX_LINES = 10_000
"""Log lines kept of one job; later ones are dropped."""

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OVER: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, pipeline TEXT NOT NULL, request TEXT NOT NULL,
    idempotency_key TEXT, status TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    replies INTEGER NOT NULL DEFAULT 0, starts INTEGER NOT NULL DEFAULT 0, error TEXT, folder TEXT,
    UNIQUE (owner, idempotency_key)
);
CREATE TABLE IF NOT EXISTS lines (
    job TEXT NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL, text TEXT NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (created, id);
"""
_COLUMNS = "id, owner, pipeline, request, status, created, started, ended, replies, starts, error, folder"


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands. Times are seconds since 1970."""

    id: str
    owner: str
    pipeline: str
    request: dict[str, Any]
    status: JobStatus
    created: float
    started: float | None
    ended: float | None
    replies: int
    """Answers of experts so far in this start, from the ledger or generated."""
    starts: int
    error: str | None
    folder: str | None


class JobStore:
    """Thread-safe. Every method may raise `StorageError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            private_file(path)
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            if self._connection.execute("PRAGMA user_version").fetchone()[0] > VERSION:
                raise StorageError(f"{path}: written by a newer Collegium")
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version={VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"{path}: cannot open the jobs: {error}") from error

    def add(self, owner: str, pipeline: str, request: dict[str, Any], idempotency_key: str | None) -> tuple[Job, bool]:
        """A new job, or the one that this owner made with the same idempotency key; and whether it is new."""
        id = f"job-{secrets.token_hex(12)}"
        with self._use() as connection:
            cursor = connection.execute(
                "INSERT INTO jobs (id, owner, pipeline, request, idempotency_key, status, created) "
                "VALUES (?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT (owner, idempotency_key) DO NOTHING",
                (id, owner, pipeline, json.dumps(request), idempotency_key, time.time()),
            )
            where = "id = ?" if cursor.rowcount else "owner = ? AND idempotency_key = ?"
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE {where}", (id,) if cursor.rowcount else (owner, idempotency_key)
            ).fetchone()
            return _job(row), bool(cursor.rowcount)

    def get(self, id: str) -> Job | None:
        with self._use() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
        return _job(row) if row else None

    def page(self, owner: str | None, limit: int, after: str | None) -> list[Job]:
        """The newest first, those older than the job `after`; of all owners where `owner` is None."""
        with self._use() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE (?1 IS NULL OR owner = ?1) AND (?2 IS NULL OR (created, id) < "
                "(SELECT created, id FROM jobs WHERE id = ?2)) ORDER BY created DESC, id DESC LIMIT ?3",
                (owner, after, limit),
            ).fetchall()
        return [_job(row) for row in rows]

    def unfinished(self) -> list[Job]:
        """Jobs to run, oldest first: those that were interrupted count as queued again."""
        with self._use() as connection:
            connection.execute("UPDATE jobs SET status = 'queued' WHERE status = 'running'")
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE status = 'queued' ORDER BY created, id"
            ).fetchall()
        return [_job(row) for row in rows]

    def start(self, id: str, folder: str) -> bool:
        """Mark it running; False if it is no longer queued."""
        with self._use() as connection:
            return bool(
                connection.execute(
                    "UPDATE jobs SET status = 'running', started = coalesce(started, ?), starts = starts + 1, "
                    "folder = ?, replies = 0 WHERE id = ? AND status = 'queued'",
                    (time.time(), folder, id),
                ).rowcount
            )

    def progress(self, id: str, replies: int) -> None:
        with self._use() as connection:
            connection.execute("UPDATE jobs SET replies = ? WHERE id = ?", (replies, id))

    def end(self, id: str, status: JobStatus, error: str | None = None) -> bool:
        """Mark it over; False if it was already."""
        with self._use() as connection:
            return bool(
                connection.execute(
                    "UPDATE jobs SET status = ?, ended = ?, error = ? WHERE id = ? AND status IN ('queued', 'running')",
                    (status, time.time(), error, id),
                ).rowcount
            )

    def log(self, id: str, text: str) -> None:
        """Append a line."""
        with self._use() as connection:
            connection.execute(
                "INSERT INTO lines SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM lines WHERE job = ?1 "
                f"HAVING count(*) < {MAX_LINES}",
                (id, time.time(), text[:2000]),
            )

    def lines(self, id: str, after: int = 0, limit: int = 1000) -> list[tuple[int, float, str]]:
        """(number, time, text), oldest first."""
        with self._use() as connection:
            found: list[tuple[int, float, str]] = connection.execute(
                "SELECT number, time, text FROM lines WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
                (id, after, limit),
            ).fetchall()
        return found

    def check(self) -> None:
        """Raise `StorageError` if SQLite finds the file damaged."""
        with self._use() as connection:
            answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if answer != "ok":
            raise StorageError(f"{self.path}: the jobs are damaged: {answer}")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._connection
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error


def _job(row: tuple[Any, ...]) -> Job:
    values = list(row)
    values[3] = json.loads(values[3])
    return Job(*values)
