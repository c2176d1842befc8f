"""The ledger's rows in PostgreSQL, shared by several services."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema
from orchestrator.inference.request import Completion
from orchestrator.inference.schedule.ledger_rows import COLUMNS, LedgerEntry, completion, differing, row

_SCHEMA = Schema("ledger")
_COMPLETIONS = sql.Table(
    "completions",
    _SCHEMA.tables,
    sql.Column("key", sql.LargeBinary, primary_key=True),
    sql.Column("fingerprint", sql.String(128), nullable=False),
    sql.Column("text", AnyText, nullable=False),
    sql.Column("finish_reason", sql.String(32), nullable=False),
    sql.Column("prompt_tokens", sql.Integer, nullable=False),
    sql.Column("completion_tokens", sql.Integer, nullable=False),
    sql.Column("logprobs", AnyText),
    sql.Column("seconds", sql.Float, nullable=False),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("upstream", AnyText),
)


class LedgerTable:
    """See `LedgerStorage`."""

    def __init__(self, database: Database) -> None:
        """`database` is closed with the ledger."""
        self.name = database.name
        self._database = database
        database.prepare(_SCHEMA)

    def get(self, keys: Sequence[str]) -> dict[str, Completion]:
        """See `LedgerStorage`."""
        with self._database.use() as connection:
            return _found(connection, keys)

    def insert(self, entries: Sequence[LedgerEntry]) -> dict[str, Completion]:
        """See `LedgerStorage`."""
        given = {reply.key: (fingerprint, reply) for fingerprint, reply in reversed(entries)}  # the first one counts
        rows = [row(*given[key]) for key in sorted(given)]  # in one order, or two writers wait for each other
        with self._database.use() as connection:
            connection.execute(self._database.insert_new(_COMPLETIONS), rows)
            stored = _found(connection, list(given))
        return differing(stored, {reply.key: reply for _, reply in entries})

    def count(self) -> int:
        """See `LedgerStorage`."""
        with self._database.use() as connection:
            return int(connection.execute(sql.select(sql.func.count()).select_from(_COMPLETIONS)).scalar_one())

    def check(self) -> None:
        """See `LedgerStorage`."""
        self._database.check()

    def close(self) -> None:
        """See `LedgerStorage`."""
        self._database.close()


def _found(connection: sql.Connection, keys: Sequence[str]) -> dict[str, Completion]:
    wanted = [bytes.fromhex(key) for key in keys]
    columns = [_COMPLETIONS.c[name] for name in COLUMNS]
    found = connection.execute(sql.select(*columns).where(_COMPLETIONS.c.key.in_(wanted)))
    return {bytes(one[0]).hex(): completion(one) for one in found}
