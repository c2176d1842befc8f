"""Jobs and their logs: what was accepted is on disk before the client hears so."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema, newest_first
from orchestrator.service import leases

MAX_LINES = 10_000
"""Log lines kept of one job; later ones are dropped."""

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OVER: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")

_SCHEMA = Schema(
    "jobs",
    version=3,
    changes={
        1: ("ALTER TABLE jobs ADD COLUMN runner VARCHAR(128)", "ALTER TABLE jobs ADD COLUMN lease DOUBLE PRECISION"),
        2: ("ALTER TABLE jobs ADD COLUMN budget JSON",),
    },
)
_JOBS = sql.Table(
    "jobs",
    _SCHEMA.tables,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(64), nullable=False),
    sql.Column("pipeline", sql.String(64), nullable=False),
    sql.Column("request", sql.JSON, nullable=False),
    sql.Column("idempotency_key", AnyText),
    sql.Column("status", sql.String(16), nullable=False),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("started", sql.Float),
    sql.Column("ended", sql.Float),
    sql.Column("replies", sql.Integer, nullable=False, server_default="0"),
    sql.Column("starts", sql.Integer, nullable=False, server_default="0"),
    sql.Column("error", AnyText),
    sql.Column("folder", AnyText),
    sql.Column("budget", sql.JSON(none_as_null=True)),
    *leases.columns(),
    sql.UniqueConstraint("owner", "idempotency_key"),
    sql.Index("jobs_by_time", "created", "id"),
)
_LINES = sql.Table(
    "lines",
    _SCHEMA.tables,
    sql.Column("job", sql.String(64), primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("time", sql.Float, nullable=False),
    sql.Column("text", AnyText, nullable=False),
)
_KNOWN = [column for column in _JOBS.c if column.name not in ("idempotency_key", "runner", "lease")]


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
    budget: dict[str, Any] | None = None
    """`tokens`, `dollars`: what it may spend, within the configuration's budget."""


class JobStore:
    """Thread-safe, blocking. Every method may raise `StorageError`."""

    def __init__(self, database: Database, runner: str = "") -> None:
        """`runner`: name of the service that runs jobs by this store, the same at its next start."""
        self._database = database
        database.prepare(_SCHEMA)
        self.leases = leases.Leases(database, _JOBS, runner, "queued", "running")

    def add(
        self,
        owner: str,
        pipeline: str,
        request: dict[str, Any],
        idempotency_key: str | None,
        budget: dict[str, Any] | None = None,
    ) -> tuple[Job, bool]:
        """A new job, or the one that this owner made with the same idempotency key; and whether it is new."""
        id = f"job-{secrets.token_hex(12)}"
        values = {
            "id": id,
            "owner": owner,
            "pipeline": pipeline,
            "request": request,
            "idempotency_key": idempotency_key,
            "budget": budget,
            "status": "queued",
            "created": time.time(),
        }
        with self._database.use() as connection:
            insert = self._database.insert_new(_JOBS).values(values).returning(_JOBS.c.id)
            new = connection.execute(insert).scalar_one_or_none() is not None
            same = (_JOBS.c.owner == owner) & (_JOBS.c.idempotency_key == idempotency_key)
            row = connection.execute(sql.select(*_KNOWN).where(_JOBS.c.id == id if new else same)).one()
        return Job(*row), new

    def get(self, id: str) -> Job | None:
        """The job of this id, or None."""
        with self._database.use() as connection:
            row = connection.execute(sql.select(*_KNOWN).where(_JOBS.c.id == id)).one_or_none()
        return Job(*row) if row else None

    def page(self, owner: str | None, limit: int, after: str | None) -> list[Job]:
        """The newest first, those older than the job `after`; of all owners where `owner` is None."""
        wanted = sql.select(*_KNOWN)
        if owner is not None:
            wanted = wanted.where(_JOBS.c.owner == owner)
        with self._database.use() as connection:
            rows = connection.execute(newest_first(wanted, _JOBS, after).limit(limit)).all()
        return [Job(*row) for row in rows]

    def take(self) -> Job | None:
        """The oldest job that waits, or whose service died: it is running now, and this service's."""
        started = sql.func.coalesce(_JOBS.c.started, time.time())
        id = self.leases.take(started=started, starts=_JOBS.c.starts + 1, replies=0)
        return self.get(id) if id else None

    def place(self, id: str, folder: str) -> None:
        """Note where its results will be."""
        self._change(self.leases.mine() & (_JOBS.c.id == id), folder=folder)

    def progress(self, id: str, replies: int) -> None:
        """Write how many replies there are so far."""
        self._change(self.leases.mine() & (_JOBS.c.id == id), replies=replies)

    def end(self, id: str, status: JobStatus, error: str | None = None) -> bool:
        """Mark it over, as the service that runs it; False if it was over, or another's."""
        mine = self.leases.mine() & (_JOBS.c.id == id)
        return self._change(mine, status=status, ended=time.time(), error=error)

    def cancel(self, id: str) -> bool:
        """Mark it cancelled; False if it was over."""
        going = (_JOBS.c.id == id) & _JOBS.c.status.in_(("queued", "running"))
        return self._change(going, status="cancelled", ended=time.time())

    def log(self, id: str, text: str) -> None:
        """Append a line."""
        values = [sql.literal(id), sql.func.coalesce(sql.func.max(_LINES.c.number), 0) + 1]
        line = sql.select(*values, sql.literal(time.time(), sql.Double), sql.literal(text[:2000], AnyText()))
        few = line.where(_LINES.c.job == id).having(sql.func.count() < MAX_LINES).select_from(_LINES)
        with self._database.use() as connection:
            if self._database.shared:  # two writers of one log: each line has a number of its own
                self._database.exclusive(connection, id)
            connection.execute(sql.insert(_LINES).from_select(["job", "number", "time", "text"], few))

    def lines(self, id: str, after: int = 0, limit: int = 1000) -> list[tuple[int, float, str]]:
        """(number, time, text), oldest first."""
        wanted = sql.select(_LINES.c.number, _LINES.c.time, _LINES.c.text)
        wanted = wanted.where(_LINES.c.job == id, _LINES.c.number > after).order_by(_LINES.c.number).limit(limit)
        with self._database.use() as connection:
            return [(row.number, row.time, row.text) for row in connection.execute(wanted)]

    def check(self) -> None:
        """Raise `StorageError` if SQLite finds the file damaged."""
        self._database.check()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _change(self, where: sql.ColumnElement[bool], **values: Any) -> bool:
        with self._database.use() as connection:
            return bool(connection.execute(sql.update(_JOBS).where(where).values(values)).rowcount)
