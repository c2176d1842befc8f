"""Files that clients upload, such as a batch's requests."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema, newest_first

_SCHEMA = Schema("files")
_FILES = sql.Table(
    "files",
    _SCHEMA.tables,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("owner", sql.String(64), nullable=False, index=True),
    sql.Column("filename", AnyText, nullable=False),
    sql.Column("purpose", sql.String(64), nullable=False),
    sql.Column("bytes", sql.Integer, nullable=False),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("content", sql.LargeBinary, nullable=False),
)
_KNOWN = [column for column in _FILES.c if column.name not in ("content", "owner")]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file besides its content. `created`: seconds since 1970."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created: float


class FileStore:
    """Thread-safe, blocking. Every method may raise `StorageError`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_SCHEMA)

    def add(self, owner: str, filename: str, purpose: str, content: bytes) -> StoredFile:
        """Keep a file."""
        made = StoredFile(f"file-{secrets.token_hex(12)}", filename, purpose, len(content), time.time())
        row = {"owner": owner, "content": content, **{name: getattr(made, name) for name in made.__slots__}}
        with self._database.use() as connection:
            connection.execute(sql.insert(_FILES).values(row))
        return made

    def get(self, owner: str, id: str) -> StoredFile | None:
        """None where this owner has none of this id."""
        with self._database.use() as connection:
            row = connection.execute(
                sql.select(*_KNOWN).where(_FILES.c.id == id, _FILES.c.owner == owner)
            ).one_or_none()
        return StoredFile(*row) if row else None

    def content(self, owner: str, id: str) -> bytes | None:
        """None where this owner has none of this id."""
        wanted = sql.select(_FILES.c.content).where(_FILES.c.id == id, _FILES.c.owner == owner)
        with self._database.use() as connection:
            return connection.execute(wanted).scalar_one_or_none()

    def page(self, owner: str, purpose: str | None, limit: int, after: str | None) -> list[StoredFile]:
        """The newest first, those older than the file `after`."""
        wanted = sql.select(*_KNOWN).where(_FILES.c.owner == owner)
        if purpose is not None:
            wanted = wanted.where(_FILES.c.purpose == purpose)
        with self._database.use() as connection:
            rows = connection.execute(newest_first(wanted, _FILES, after).limit(limit)).all()
        return [StoredFile(*row) for row in rows]

    def delete(self, owner: str, id: str) -> bool:
        """Forget a file; False where this owner has none of this id."""
        with self._database.use() as connection:
            gone = connection.execute(sql.delete(_FILES).where(_FILES.c.id == id, _FILES.c.owner == owner))
            return bool(gone.rowcount)
