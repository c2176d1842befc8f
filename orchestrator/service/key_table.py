"""Hashed API keys in a database, for several services."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema
from orchestrator.errors import ConfigError, StorageError
from orchestrator.service.keys import LOOK, Key

MAX_AGE = 10.0
"""Seconds without an answer of the database after which no key is valid by memory."""
_SCHEMA = Schema("keys")
_KEYS = sql.Table(
    "keys",
    _SCHEMA.tables,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("record", AnyText, nullable=False),
)


class KeyTable:
    """See `KeyStore`. From the first `stamp` on a thread looks at the database every second, so that a request never
    waits for it."""

    def __init__(self, database: Database) -> None:
        """Raises `StorageError`."""
        self.name = f"{database.name}: keys"
        self._database = database
        database.prepare(_SCHEMA)
        self._keys = self._select()
        self._seen = time.monotonic()
        self._why = ""
        self._watching: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def read(self) -> dict[str, Key]:
        """The keys as they were seen last. Raises `ConfigError` where that is too long ago."""
        if self._watching is None:
            self._keys, self._seen = self._select(), time.monotonic()
        if time.monotonic() - self._seen > MAX_AGE:
            raise ConfigError(f"{self.name}: cannot be read: {self._why}")
        return self._keys

    def stamp(self) -> object:
        """See `KeyStore`. Raises `ConfigError` as `read` does, and `StorageError` the first time."""
        with self._lock:
            if self._watching is None:
                self._keys, self._seen = self._select(), time.monotonic()
                self._watching = threading.Thread(target=self._watch, name="keys", daemon=True)
                self._watching.start()
        return tuple(sorted(self.read().items()))

    def add(self, key: Key) -> None:
        """See `KeyStore`."""
        row = {"id": key.id, "record": json.dumps(asdict(key))}
        with self._database.use() as connection:
            connection.execute(sql.insert(_KEYS).values(row))

    def remove(self, id: str) -> Key | None:
        """See `KeyStore`."""
        gone = sql.delete(_KEYS).where(_KEYS.c.id == id).returning(_KEYS.c.record)
        with self._database.use() as connection:
            found = connection.execute(gone).scalar_one_or_none()
        return Key.read(json.loads(found)) if found is not None else None

    def close(self) -> None:
        """Look no more, and give the connections back."""
        self._closed.set()
        if (watching := self._watching) is not None:
            watching.join()
        self._database.close()

    def _watch(self) -> None:
        while not self._closed.wait(LOOK):
            try:
                self._keys, self._seen = self._select(), time.monotonic()
            except (StorageError, ConfigError) as error:
                self._why = str(error)

    def _select(self) -> dict[str, Key]:
        with self._database.use() as connection:
            rows = connection.execute(sql.select(_KEYS.c.id, _KEYS.c.record)).all()
        try:
            return {id: Key.read(json.loads(record)) for id, record in rows}
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self.name}: not a key: {error}") from error
