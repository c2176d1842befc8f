"""A database: SQLite in one file, or PostgreSQL by a URL. One schema for both, through SQLAlchemy Core.

Each store declares a `Schema`: its tables, and what brings older ones up to date. Calls block: use them from threads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.errors import ConfigError, SetupError, StorageError
from orchestrator.private_files import private_file

BUSY_SECONDS = 30
CONNECT_SECONDS = 10
_LOCK = 0x636C67
"""Of PostgreSQL's advisory locks, the class that is Collegium's."""
_VERSIONS = sql.Table(
    "collegium_schemas",
    sql.MetaData(),
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("version", sql.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Schema:
    """One store's tables. Tables without a recorded version are of version 1."""

    name: str
    version: int = 1
    tables: sql.MetaData = field(default_factory=sql.MetaData)
    changes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Version -> statements that bring its tables to the next one, in SQL that SQLite and PostgreSQL share."""


class Database:
    """Thread-safe. Raises `StorageError` where it cannot be used, `ConfigError` for a URL that is none, `SetupError`
    where PostgreSQL's driver is missing."""

    def __init__(self, url: str | None, file: Path) -> None:
        """`url`: such as postgresql://user@host/name; None: SQLite in `file`, which only its owner may read."""
        target = _checked(url) if url else sql.URL.create("sqlite", database=str(file))
        self.shared = target.get_backend_name() == "postgresql"
        self.name = target.set(drivername=target.get_backend_name()).render_as_string() if url else str(file)
        if self.shared:
            options = {"connect_timeout": CONNECT_SECONDS, "application_name": "collegium"}
            try:
                self._engine = sql.create_engine(
                    target, connect_args=options, pool_pre_ping=True, pool_recycle=1800, pool_timeout=BUSY_SECONDS
                )
            except ImportError as error:
                raise SetupError("PostgreSQL needs psycopg: install collegium[postgres]") from error
            sql.event.listen(self._engine, "connect", _durable_postgresql)
        else:
            private_file(Path(target.database or file))
            self._engine = sql.create_engine(target, connect_args={"timeout": BUSY_SECONDS})
            sql.event.listen(self._engine, "connect", _durable_sqlite)

    def prepare(self, schema: Schema) -> None:
        """Make a store's tables, or bring older ones up to date. Raises `StorageError` for those of a newer version."""
        with self.use() as connection:
            self.exclusive(connection, "schemas")
            _VERSIONS.metadata.create_all(connection)
            row = connection.execute(sql.select(_VERSIONS.c.version).where(_VERSIONS.c.name == schema.name))
            version: int | None = row.scalar_one_or_none()
            if version is not None and version > schema.version:
                raise StorageError(f"{self.name}: its {schema.name} were written by a newer Collegium ({version})")
            there = set(sql.inspect(connection).get_table_names()) & set(schema.tables.tables)
            for old in range(version or 1, schema.version) if there else ():
                for statement in schema.changes[old]:
                    connection.exec_driver_sql(statement)
            schema.tables.create_all(connection)
            if version != schema.version:
                values = {"name": schema.name, "version": schema.version}
                connection.execute(sql.delete(_VERSIONS).where(_VERSIONS.c.name == schema.name))
                connection.execute(sql.insert(_VERSIONS).values(values))

    @contextlib.contextmanager
    def use(self) -> Iterator[sql.Connection]:
        """One transaction: committed at the end, rolled back if anything raises."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StorageError(f"{self.name}: {why}") from error

    def exclusive(self, connection: sql.Connection, what: str) -> None:
        """Until this transaction ends nobody else is in one that is exclusive for `what`. Call it first."""
        if self.shared:
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK, sql.func.hashtext(what))))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert_new(self, table: sql.Table) -> Any:
        """An INSERT that leaves a row out where one with its key, or with its unique columns, is there."""
        if self.shared:
            return postgresql.insert(table).on_conflict_do_nothing()
        return sqlite.insert(table).on_conflict_do_nothing()

    def now(self) -> sql.ColumnElement[float]:
        """Seconds since 1970 by the database's clock, so that machines whose clocks differ agree on it."""
        if self.shared:
            return sql.cast(sql.extract("epoch", sql.func.clock_timestamp()), sql.Double)
        return sql.literal(time.time(), sql.Double)

    def check(self) -> None:
        """Raise `StorageError` if SQLite finds the file damaged. PostgreSQL looks after itself: it is only asked."""
        with self.use() as connection:
            answer = connection.exec_driver_sql("SELECT 'ok'" if self.shared else "PRAGMA integrity_check").scalar_one()
        if answer != "ok":
            raise StorageError(f"{self.name}: damaged: {answer}")

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


class AnyText(sql.types.TypeDecorator[str]):
    """Text of whatever characters. PostgreSQL has none for NUL and for halves of surrogate pairs: there they are
    written as the character U+0001 and a code, as is U+0001 itself; all other text is stored as it is."""

    impl = sql.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sql.Dialect) -> str | None:
        """The text as the database can hold it."""
        if value is None or dialect.name != "postgresql":
            return value
        if "\x00" not in value and "\x01" not in value and not _has_surrogate(value):
            return value
        return "".join(f"\x01{ord(c):04x}" if c <= "\x01" or "\ud800" <= c <= "\udfff" else c for c in value)

    def process_result_value(self, value: str | None, dialect: sql.Dialect) -> str | None:
        """The text as it was given."""
        if value is None or dialect.name != "postgresql" or "\x01" not in value:
            return value
        first, *rest = value.split("\x01")
        return first + "".join(chr(int(part[:4], 16)) + part[4:] for part in rest)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _durable_sqlite(connection: Any, _: object) -> None:
    """What was committed survives a crash, and readers do not wait for writers."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _durable_postgresql(connection: Any, _: object) -> None:
    """What was committed survives a crash, also where the server's own default is otherwise."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit' "
                       "AND setting = 'off'")  # fmt: skip
    connection.commit()


def _checked(url: str) -> sql.URL:
    """The URL with psycopg as its driver. Raises `ConfigError`."""
    try:
        found = sql.engine.make_url(url)
    except (SQLAlchemyError, ValueError) as error:
        raise ConfigError("database: not a database URL, such as postgresql://user@host/name") from error
    if found.get_backend_name() not in ("postgresql", "sqlite"):
        raise ConfigError(f"database: {found.get_backend_name()} is not supported; use postgresql or sqlite")
    if found.password is not None or "password" in found.query:
        raise ConfigError("database: keep the password out of it; set PGPASSWORD, or write a ~/.pgpass")
    return found.set(drivername="postgresql+psycopg") if found.get_backend_name() == "postgresql" else found


def newest_first(wanted: sql.Select[Any], table: sql.Table, after: str | None) -> sql.Select[Any]:
    """Rows by their columns `created` and, where two are of one time, `id`, the newest first; with `after`, those
    behind the row of that id (none where there is none)."""
    created, id = table.c.created, table.c.id
    if after is not None:
        last = sql.select(created).where(id == after).scalar_subquery()
        wanted = wanted.where((created < last) | ((created == last) & (id < after)))
    return wanted.order_by(created.desc(), id.desc())
