"""Leases: of several services on one database, one at a time works on a job or a batch.

Who takes a row holds it for `SECONDS`, and renews that while it works. A service that dies, or no longer reaches the
database, loses its rows to whoever looks next.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql

from orchestrator.database import Database

SECONDS = 30.0
"""How long a row is held without being renewed."""


def columns() -> tuple[sql.Column[Any], sql.Column[Any]]:
    """What a table with leases has."""
    return sql.Column("runner", sql.String(128)), sql.Column("lease", sql.Float)


class Leases:
    """Of a table with the columns `id`, `status`, `created`, `runner` and `lease`. Thread-safe, blocking; every method
    may raise `StorageError`."""

    def __init__(self, database: Database, table: sql.Table, runner: str, waiting: str | None, running: str) -> None:
        """`runner`: this service's name, the same at its next start. `waiting`: the status of rows that nobody has
        begun, where there is one; `running`: of those that somebody has, or had."""
        self._database = database
        self._table = table
        self._runner = runner
        self._waiting = waiting
        self._running = running

    def take(self, **changes: Any) -> str | None:
        """The id of the oldest row that nobody holds, now this service's; None if there is none. `changes`: further
        columns to set on it."""
        table, now = self._table, self._database.now()
        free = (table.c.status == self._running) & (table.c.lease.is_(None) | (table.c.lease < now))
        if self._waiting is not None:
            free = free | (table.c.status == self._waiting)
        oldest = sql.select(table.c.id).where(free).order_by(table.c.created, table.c.id).limit(1)
        held = {"status": self._running, "runner": self._runner, "lease": now + SECONDS}
        with self._database.use() as connection:
            found: str | None = connection.execute(
                sql.update(table)
                .where(table.c.id == oldest.with_for_update(skip_locked=True).scalar_subquery())
                .values(**held, **changes)
                .returning(table.c.id)
            ).scalar_one_or_none()
        return found

    def renew(self) -> set[str]:
        """Hold on to this service's rows; the ids of those that it still holds."""
        change = sql.update(self._table).values(lease=self._database.now() + SECONDS)
        with self._database.use() as connection:
            return set(connection.execute(change.where(self.mine()).returning(self._table.c.id)).scalars())

    def release(self) -> None:
        """Let go of this service's rows, for anybody to take at once: before it begins, and when it ends."""
        change = sql.update(self._table).values(lease=None, runner=None, status=self._waiting or self._running)
        with self._database.use() as connection:
            connection.execute(change.where(self.mine()))

    def mine(self) -> sql.ColumnElement[bool]:
        """The condition that this service holds a row."""
        return (self._table.c.runner == self._runner) & (self._table.c.status == self._running)
