"""Batches and their rows: what was asked, what has been answered so far."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema, newest_first
from orchestrator.service import leases

Status = Literal["failed", "in_progress", "completed", "cancelled"]
CHUNK = 1000
"""Rows per statement."""

_SCHEMA = Schema(
    "batches",
    version=2,
    changes={
        1: (
            "ALTER TABLE batches ADD COLUMN runner VARCHAR(128)",
            "ALTER TABLE batches ADD COLUMN lease DOUBLE PRECISION",
        )
    },
)
_BATCHES = sql.Table(
    "batches",
    _SCHEMA.tables,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(64), nullable=False, index=True),
    sql.Column("endpoint", sql.String(64), nullable=False),
    sql.Column("input_file", sql.String(64), nullable=False),
    sql.Column("status", sql.String(16), nullable=False, index=True),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("ended", sql.Float),
    sql.Column("metadata", sql.JSON),
    sql.Column("errors", sql.JSON),
    *leases.columns(),
)
_KNOWN = [column for column in _BATCHES.c if column.name not in ("runner", "lease")]
_ROWS = sql.Table(
    "batch_rows",
    _SCHEMA.tables,
    sql.Column("batch", sql.String(64), primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("custom_id", AnyText, nullable=False),
    sql.Column("request", sql.JSON, nullable=False),
    sql.Column("status", sql.Integer),
    sql.Column("body", sql.JSON),
)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One request of a batch. `status` is its HTTP status, None while it has none."""

    number: int
    custom_id: str
    request: dict[str, Any]
    status: int | None = None
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it stands. Times are seconds since 1970."""

    id: str
    owner: str
    endpoint: str
    input_file: str
    status: Status
    created: float
    ended: float | None
    metadata: dict[str, str] | None
    errors: list[dict[str, Any]] | None
    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchStore:
    """Thread-safe, blocking. Every method may raise `StorageError`."""

    def __init__(self, database: Database, runner: str = "") -> None:
        """`runner`: name of the service that runs batches by this store, the same at its next start."""
        self._database = database
        database.prepare(_SCHEMA)
        self.leases = leases.Leases(database, _BATCHES, runner, None, "in_progress")
        self._runner = runner

    def add(
        self,
        owner: str,
        endpoint: str,
        input_file: str,
        metadata: dict[str, str] | None,
        rows: Sequence[BatchRow],
        errors: list[dict[str, Any]],
    ) -> StoredBatch:
        """A new batch; with `errors` it has failed at once and no row of it is run."""
        id, now = f"batch_{secrets.token_hex(12)}", time.time()
        with self._database.use() as connection:
            connection.execute(
                sql.insert(_BATCHES).values(
                    id=id,
                    owner=owner,
                    endpoint=endpoint,
                    input_file=input_file,
                    status="failed" if errors else "in_progress",
                    created=now,
                    ended=now if errors else None,
                    metadata=metadata,
                    errors=errors or None,
                )
            )
            values = [
                {"batch": id, "number": row.number, "custom_id": row.custom_id, "request": row.request} for row in rows
            ]
            for start in range(0, 0 if errors else len(values), CHUNK):
                connection.execute(sql.insert(_ROWS), values[start : start + CHUNK])
        found = self.get(owner, id)
        assert found is not None
        return found

    def get(self, owner: str, id: str) -> StoredBatch | None:
        """None where this owner has none of this id."""
        found = self._read(sql.select(*_KNOWN).where(_BATCHES.c.id == id, _BATCHES.c.owner == owner))
        return found[0] if found else None

    def page(self, owner: str, limit: int, after: str | None) -> list[StoredBatch]:
        """The newest first, those older than the batch `after`."""
        wanted = sql.select(*_KNOWN).where(_BATCHES.c.owner == owner)
        return self._read(newest_first(wanted, _BATCHES, after).limit(limit))

    def take(self) -> StoredBatch | None:
        """The oldest batch with work left that no service works on: now this one does."""
        id = self.leases.take()
        return self._read(sql.select(*_KNOWN).where(_BATCHES.c.id == id))[0] if id else None

    def waiting(self, id: str) -> list[BatchRow]:
        """The rows of a batch that have no answer yet, in their order."""
        return self._rows(_ROWS.c.batch == id, _ROWS.c.status.is_(None))

    def answered(self, id: str, *, right: bool) -> list[BatchRow]:
        """The rows that were answered (`right`), or refused, so far, in their order."""
        good = _ROWS.c.status == 200
        return self._rows(_ROWS.c.batch == id, _ROWS.c.status.is_not(None), good if right else sql.not_(good))

    def record(self, id: str, rows: Iterable[BatchRow]) -> None:
        """Write answers, all or none of them; none where another service has taken the batch over meanwhile."""
        values = [{"n": row.number, "s": row.status, "b": row.body} for row in rows]
        if not values:
            return
        change = sql.update(_ROWS).where(_ROWS.c.batch == id, _ROWS.c.number == sql.bindparam("n"))
        mine = sql.update(_BATCHES).where(_BATCHES.c.id == id, _BATCHES.c.runner == self._runner)
        with self._database.use() as connection:
            if connection.execute(mine.values(lease=self._database.now() + leases.SECONDS)).rowcount:
                connection.execute(change.values(status=sql.bindparam("s"), body=sql.bindparam("b")), values)

    def complete(self, id: str) -> bool:
        """Mark it completed; False if it is over, or another service's."""
        return self._end(self.leases.mine() & (_BATCHES.c.id == id), "completed")

    def cancel(self, id: str) -> bool:
        """Mark it cancelled; False if it was over."""
        return self._end((_BATCHES.c.id == id) & (_BATCHES.c.status == "in_progress"), "cancelled")

    def _end(self, where: sql.ColumnElement[bool], status: Status) -> bool:
        change = sql.update(_BATCHES).where(where)
        with self._database.use() as connection:
            return bool(connection.execute(change.values(status=status, ended=time.time())).rowcount)

    def _rows(self, *where: Any) -> list[BatchRow]:
        wanted = sql.select(_ROWS.c.number, _ROWS.c.custom_id, _ROWS.c.request, _ROWS.c.status, _ROWS.c.body)
        with self._database.use() as connection:
            return [BatchRow(*row) for row in connection.execute(wanted.where(*where).order_by(_ROWS.c.number))]

    def _read(self, wanted: Any) -> list[StoredBatch]:
        with self._database.use() as connection:
            found = connection.execute(wanted).all()
            counts = sql.select(
                _ROWS.c.batch,
                sql.func.count(),
                sql.func.count().filter(_ROWS.c.status == 200),
                sql.func.count().filter(_ROWS.c.status != 200),
            ).where(_ROWS.c.batch.in_([row.id for row in found]))
            numbers = {row[0]: tuple(row[1:]) for row in connection.execute(counts.group_by(_ROWS.c.batch))}
        return [StoredBatch(*row, *numbers.get(row.id, (0, 0, 0))) for row in found]
