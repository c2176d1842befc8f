"""The service's database: what it keeps for clients, on SQLite (one file in the state folder) or PostgreSQL (a URL).

One schema for both, through SQLAlchemy Core. Calls block: use them from threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.errors import ConfigError, StorageError
from orchestrator.private_files import private_file

SCHEMA = sql.MetaData()
BUSY_SECONDS = 30


class Database:
    """Thread-safe. Raises `StorageError` where it cannot be used, `ConfigError` for a URL that is none."""

    def __init__(self, url: str | None, file: Path) -> None:
        """`url`: such as postgresql://user@host/name; None: SQLite in `file`, which only its owner may read."""
        self.name = sql.engine.make_url(url).render_as_string(hide_password=True) if url else str(file)
        if url is None:
            private_file(file)
            self._engine = sql.create_engine(f"sqlite:///{file}", connect_args={"timeout": BUSY_SECONDS})
            sql.event.listen(self._engine, "connect", _durable)
        else:
            self._engine = sql.create_engine(_with_driver(url), pool_pre_ping=True, pool_recycle=1800)
        with self.use() as connection:
            SCHEMA.create_all(connection)

    @contextlib.contextmanager
    def use(self) -> Iterator[sql.Connection]:
        """One transaction: committed at the end, rolled back if anything raises."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StorageError(f"{self.name}: {why}") from error

    def close(self) -> None:
        self._engine.dispose()


def _durable(connection: object, _: object) -> None:
    """What was committed survives a crash, and readers do not wait for writers."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _with_driver(url: str) -> sql.URL:
    """The URL with psycopg as its driver. Raises `ConfigError`."""
    try:
        found = sql.engine.make_url(url)
    except SQLAlchemyError as error:
        raise ConfigError("service.database: not a database URL, such as postgresql://user@host/name") from error
    if found.get_backend_name() not in ("postgresql", "sqlite"):
        raise ConfigError(f"service.database: {found.get_backend_name()} is not supported; use postgresql or sqlite")
    if found.password is not None:
        raise ConfigError("service.database: keep the password out of it; set PGPASSWORD, or write a ~/.pgpass")
    return found.set(drivername="postgresql+psycopg") if found.get_backend_name() == "postgresql" else found
