"""Responses that clients may go on from, with the conversation that led to each."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sql

from orchestrator.database import Database, Schema

KEEP_SECONDS = 30 * 86400
"""How long a response is kept, as OpenAI does."""

_SCHEMA = Schema("responses")
_RESPONSES = sql.Table(
    "responses",
    _SCHEMA.tables,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(64), nullable=False),
    sql.Column("created", sql.Float, nullable=False, index=True),
    sql.Column("response", sql.JSON, nullable=False),
    sql.Column("messages", sql.JSON, nullable=False),
)

_ITEMS = sql.Table(
    "response_items",
    _SCHEMA.tables,
    sql.Column("owner", sql.String(64), primary_key=True),
    sql.Column("item", sql.String(128), primary_key=True),
    sql.Column("response", sql.String(64), nullable=False, index=True),
    sql.Column("created", sql.Float, nullable=False, index=True),
)


class ResponseStore:
    """Thread-safe, blocking. Every method may raise `StorageError`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_SCHEMA)

    def put(self, owner: str, response: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        """Keep a response. `messages`: the conversation with the reply at its end, without instructions."""
        now = time.time()
        with self._database.use() as connection:
            row = {"id": response["id"], "owner": owner, "created": now, "response": response, "messages": messages}
            connection.execute(sql.insert(_RESPONSES).values(row))
            items = [
                {"owner": owner, "item": item["id"], "response": response["id"], "created": now}
                for item in response["output"]
            ]
            if items:
                connection.execute(sql.insert(_ITEMS), items)
            for table in (_RESPONSES, _ITEMS):
                connection.execute(sql.delete(table).where(table.c.created < now - KEEP_SECONDS))

    def get(self, owner: str, id: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """(the response, its conversation); None where this owner has none of this id."""
        wanted = sql.select(_RESPONSES.c.response, _RESPONSES.c.messages)
        with self._database.use() as connection:
            row = connection.execute(wanted.where(_RESPONSES.c.id == id, _RESPONSES.c.owner == owner)).one_or_none()
        return (row[0], row[1]) if row else None

    def items(self, owner: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Item's id -> item, for those that this owner's responses have."""
        wanted = sql.select(_RESPONSES.c.response).join(_ITEMS, _ITEMS.c.response == _RESPONSES.c.id)
        wanted = wanted.where(_ITEMS.c.owner == owner, _RESPONSES.c.owner == owner, _ITEMS.c.item.in_(ids)).distinct()
        with self._database.use() as connection:
            responses = connection.execute(wanted).scalars().all()
        return {item["id"]: item for one in responses for item in one["output"] if item["id"] in ids}

    def delete(self, owner: str, id: str) -> bool:
        """Forget a response; False where this owner has none of this id."""
        gone = sql.delete(_RESPONSES).where(_RESPONSES.c.id == id, _RESPONSES.c.owner == owner)
        with self._database.use() as connection:
            connection.execute(sql.delete(_ITEMS).where(_ITEMS.c.response == id, _ITEMS.c.owner == owner))
            return bool(connection.execute(gone).rowcount)
