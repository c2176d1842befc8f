"""One schema on both databases: made once, brought up to date, and refused where it is newer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sql

from orchestrator.database import AnyText, Database, Schema, newest_first
from orchestrator.errors import ConfigError, StorageError


def things(version: int, *columns: str) -> tuple[Schema, sql.Table]:
    schema = Schema("things", version, changes={1: ("ALTER TABLE things ADD COLUMN colour TEXT",)})
    table = sql.Table("things", schema.tables, sql.Column("id", sql.Integer, primary_key=True))
    for name in columns:
        table.append_column(sql.Column(name, AnyText))
    return schema, table


def test_tables_of_an_earlier_version_are_brought_up_to_date_and_newer_ones_refused(
    database_url: str | None, tmp_path: Path
) -> None:
    database = Database(database_url, tmp_path / "a.sqlite")
    (first, old), (second, new) = things(1), things(2, "colour")
    database.prepare(first)
    with database.use() as connection:
        connection.execute(sql.insert(old).values(id=1))
    database.prepare(second)
    database.prepare(second)
    with database.use() as connection:
        connection.execute(sql.insert(new).values(id=2, colour="red"))
        assert connection.execute(sql.select(new).order_by(new.c.id)).all() == [(1, None), (2, "red")]
    with pytest.raises(StorageError, match="things were written by a newer Collegium"):
        database.prepare(first)
    database.check()
    database.close()


def test_several_make_the_tables_at_once(database_url: str | None, tmp_path: Path) -> None:
    failed: list[BaseException] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        database = Database(database_url, tmp_path / "a.sqlite")
        barrier.wait()
        try:
            database.prepare(things(2, "colour")[0])
        except BaseException as error:
            failed.append(error)
        database.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("text", ["plain", "\x00", "a\x00b\x01c\x010000", "naïve 🦊 \u2028", "", "\x01" * 3])
def test_text_of_any_characters_comes_back(database_url: str | None, tmp_path: Path, text: str) -> None:
    database = Database(database_url, tmp_path / "a.sqlite")
    schema, table = things(2, "colour")
    database.prepare(schema)
    with database.use() as connection:
        connection.execute(sql.insert(table).values(id=1, colour=text))
        assert connection.execute(sql.select(table.c.colour)).scalar_one() == text
    database.close()


def test_half_a_surrogate_pair_comes_back_from_postgresql() -> None:
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    stored = AnyText().process_bind_param("x\ud83dy", dialect)
    assert stored is not None
    stored.encode()
    assert AnyText().process_result_value(stored, dialect) == "x\ud83dy"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://a@b/c", "mysql is not supported"),
        ("postgresql://a:secret@b/c", "keep the password out of it"),
        ("postgresql://a@b/c?password=secret", "keep the password out of it"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_telling_secrets(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Database(url, tmp_path / "a.sqlite")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    database = Database(f"postgresql://nobody@/none?host={tmp_path}", tmp_path / "a.sqlite")
    with pytest.raises(StorageError, match="postgresql://nobody@") as caught:
        database.prepare(things(2, "colour")[0])
    assert "\n" not in str(caught.value)
    database.close()


def test_pages_hold_each_row_once_also_where_several_are_of_one_time(database_url: str | None, tmp_path: Path) -> None:
    database = Database(database_url, tmp_path / "a.sqlite")
    schema = Schema("rows")
    rows = sql.Table(
        "rows", schema.tables, sql.Column("id", sql.String(8), primary_key=True), sql.Column("created", sql.Float)
    )
    database.prepare(schema)
    with database.use() as connection:
        for id, created in {"b": 1, "a": 1, "d": 1, "c": 0, "e": 2}.items():
            connection.execute(sql.insert(rows).values(id=id, created=created))

    def page(after: str | None) -> list[str]:
        with database.use() as connection:
            return list(connection.execute(newest_first(sql.select(rows.c.id), rows, after).limit(2)).scalars())

    assert [page(None), page("d"), page("a"), page("c"), page("none")] == [["e", "d"], ["b", "a"], ["c"], [], []]
    database.close()
