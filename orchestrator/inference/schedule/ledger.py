"""The ledger: every completion, durable before it is handed on (SQLite, WAL, group commit).

One file per state folder. Completions are never changed or removed: a key that is present answers for ever, so
kill anything at any time, run the same command again, and nothing is generated twice. It does not protect
against the file being edited from outside; `check` runs SQLite's own integrity check.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from orchestrator.errors import StorageError
from orchestrator.inference.request import Completion, FinishReason, TokenLogprob, UpstreamUsage
from orchestrator.private_files import private_file

VERSION = 2
GROUP = 512
"""Most rows in one transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    key BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, logprobs TEXT, seconds REAL NOT NULL,
    created REAL NOT NULL, upstream TEXT
)"""
_COLUMNS = "key, text, finish_reason, prompt_tokens, completion_tokens, logprobs, seconds, upstream"
_ADDED = {1: ("ALTER TABLE completions ADD COLUMN upstream TEXT",)}
"""Version -> what brings its file to the next one."""

LedgerEntry = tuple[str, Completion]
"""(expert fingerprint, completion)."""


Stored = Future[dict[str, Completion]]
"""Done once everything is on disk; its result are those of the keys that had been stored before, as they are stored."""


class Ledger:
    """Reads from any thread; writes go through one thread that commits in groups."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises `StorageError` if it cannot be used, or is from a newer version."""
        self.path = path
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: queue.SimpleQueue[tuple[list[LedgerEntry], Stored] | None] = queue.SimpleQueue()
        with contextlib.ExitStack() as opened:
            try:
                private_file(path)
                self._reader = opened.enter_context(contextlib.closing(self._connect()))
                self._writer = opened.enter_context(contextlib.closing(self._connect()))
            except (sqlite3.Error, OSError) as error:
                raise StorageError(f"{path}: cannot open the ledger: {error}") from error
            opened.pop_all()
        self._thread = threading.Thread(target=self._write_loop, name="ledger", daemon=True)
        self._thread.start()

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """The completions that are known among `keys` (hex), each marked `cached`. Raises `StorageError`."""
        found: dict[str, Completion] = {}
        for start in range(0, len(keys), GROUP):
            part = [bytes.fromhex(key) for key in keys[start : start + GROUP]]
            marks = ",".join("?" * len(part))
            rows = self._read(f"SELECT {_COLUMNS} FROM completions WHERE key IN ({marks})", part)
            found.update((row[0].hex(), _completion(row)) for row in rows)
        return found

    def put(self, entries: Iterable[LedgerEntry]) -> Stored:
        """Queue completions; the future is done once they are on disk, or failed with `StorageError`. Its result are
        those that another process had stored before: key -> what is stored, which is what everybody is told."""
        done: Stored = Future()
        with self._lock:
            if not self._closed:
                self._waiting.put((list(entries), done))
                return done
        done.set_exception(StorageError(f"{self.path}: the ledger is closed"))
        return done

    def count(self) -> int:
        """Number of stored completions."""
        return int(self._read("SELECT count(*) FROM completions")[0][0])

    def check(self) -> None:
        """Raise `StorageError` if SQLite finds the file damaged."""
        answer = self._read("PRAGMA integrity_check")[0][0]
        if answer != "ok":
            raise StorageError(f"{self.path}: the ledger is damaged: {answer}")

    def close(self) -> None:
        """Write what is queued, then close. Idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()
        with self._lock:
            self._reader.close()
            self._writer.close()

    def _read(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: cannot read the ledger: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        with contextlib.ExitStack() as opened:
            opened.enter_context(contextlib.closing(connection))
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StorageError(f"{self.path}: written by a newer Collegium (ledger version {version})")
            connection.execute(_SCHEMA)
            if version < VERSION:
                _bring_up_to_date(connection)
            opened.pop_all()
        return connection

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
            self._writer.execute("BEGIN IMMEDIATE")
            before = self._writer.total_changes
            self._writer.executemany(
                "INSERT OR IGNORE INTO completions VALUES (?,?,?,?,?,?,?,?,?,?)",
                (_row(fingerprint, reply) for entries, _ in group for fingerprint, reply in entries),
            )
            given = {reply.key: reply for entries, _ in group for _, reply in entries}
            if self._writer.total_changes - before < len(given):
                lost = {key: found for key, found in self._stored(given).items() if _differ(found, given[key])}
            self._writer.execute("COMMIT")
        except Exception as problem:  # whatever it is, the waiting callers must hear of it
            why = f"cannot write the ledger ({problem}); nothing that was stored is lost"
            error = StorageError(f"{self.path}: {why}")
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                self._writer.execute("ROLLBACK")
        for entries, done in group:
            if error:
                done.set_exception(error)
            else:
                done.set_result({reply.key: lost[reply.key] for _, reply in entries if reply.key in lost})

    def _stored(self, keys: Iterable[str]) -> dict[str, Completion]:
        """What the file has for these keys, as the writer sees it."""
        found: dict[str, Completion] = {}
        wanted = [bytes.fromhex(key) for key in keys]
        for start in range(0, len(wanted), GROUP):
            part = wanted[start : start + GROUP]
            marks = ",".join("?" * len(part))
            rows = self._writer.execute(f"SELECT {_COLUMNS} FROM completions WHERE key IN ({marks})", part)
            found.update((row[0].hex(), _completion(row)) for row in rows)
        return found


def _row(fingerprint: str, reply: Completion) -> tuple[object, ...]:
    logprobs = json.dumps([[t.token, t.logprob, t.top] for t in reply.logprobs]) if reply.logprobs else None
    return (
        bytes.fromhex(reply.key),
        fingerprint,
        reply.text,
        reply.finish_reason,
        reply.prompt_tokens,
        reply.completion_tokens,
        logprobs,
        reply.seconds,
        time.time(),
        _upstream(reply),
    )


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Several processes may open an old file at once: one of them changes it."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for old in range(version or VERSION, VERSION):
        for statement in _ADDED[old]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def _upstream(reply: Completion) -> str | None:
    """What a server elsewhere told of the reply, as JSON."""
    if reply.usage is None and not reply.reasoning:
        return None
    return json.dumps({"reasoning": reply.reasoning, **(asdict(reply.usage) if reply.usage else {})})


def _completion(row: tuple[bytes, str, str, int, int, str | None, float, str | None]) -> Completion:
    key, text, finish_reason, prompt_tokens, completion_tokens, logprobs, seconds, upstream = row
    upstream_usage = json.loads(upstream or "{}")
    reasoning = upstream_usage.pop("reasoning", "")
    tokens = tuple(
        TokenLogprob(token, logprob, tuple((other, value) for other, value in top))
        for token, logprob, top in json.loads(logprobs or "[]")
    )
    return Completion(
        key.hex(),
        text,
        cast("FinishReason", finish_reason),
        prompt_tokens,
        completion_tokens,
        tokens,
        seconds,
        cached=True,
        reasoning=reasoning,
        usage=UpstreamUsage(**upstream_usage) if upstream_usage else None,
    )


def _differ(stored: Completion, given: Completion) -> bool:
    return (stored.text, stored.finish_reason, stored.completion_tokens) != (
        given.text,
        given.finish_reason,
        given.completion_tokens,
    )
