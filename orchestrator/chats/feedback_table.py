"""Users' verdicts in a database, for several services."""

from __future__ import annotations

import json
import logging
from typing import Any

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema
from router.feedback import Feedback, FeedbackLog

_SCHEMA = Schema("feedback")
_VERDICTS = sql.Table(
    "feedback",
    _SCHEMA.tables,
    sql.Column("version", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("entry", AnyText, nullable=False),
)
_log = logging.getLogger("collegium")


class FeedbackTable(Feedback):
    """Thread-safe; every method may raise `StorageError`."""

    def __init__(self, database: Database, before: FeedbackLog) -> None:
        """`before`: a log file whose entries are taken over once, while the table is empty."""
        self.name = f"{database.name}: feedback"
        self._database = database
        database.prepare(_SCHEMA)
        if (old := before.entries()) and self._import(old):
            _log.info(
                "%s: %s entries of %s were taken over; the file is not used any more", self.name, len(old), before.path
            )

    def stamp(self) -> int:
        """The latest version."""
        with self._database.use() as connection:
            return self._latest(connection)

    def entries(self) -> list[dict[str, Any]]:
        """See `Feedback`."""
        with self._database.use() as connection:
            rows = connection.execute(sql.select(_VERDICTS.c.entry).order_by(_VERDICTS.c.version))
            return [json.loads(entry) for (entry,) in rows]

    def _append(self, entry: dict[str, Any]) -> int:
        with self._database.use() as connection:
            self._database.exclusive(connection, "feedback")
            version = self._latest(connection) + 1
            row = {"version": version, "entry": json.dumps({"version": version, **entry})}
            connection.execute(sql.insert(_VERDICTS).values(row))
        return version

    def _import(self, entries: list[dict[str, Any]]) -> bool:
        with self._database.use() as connection:
            self._database.exclusive(connection, "feedback")
            if self._latest(connection):
                return False
            rows = [{"version": version, "entry": json.dumps(entry)} for version, entry in enumerate(entries, 1)]
            connection.execute(sql.insert(_VERDICTS), rows)
        return True

    @staticmethod
    def _latest(connection: sql.Connection) -> int:
        return int(connection.execute(sql.select(sql.func.max(_VERDICTS.c.version))).scalar() or 0)
