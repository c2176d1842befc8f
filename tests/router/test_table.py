"""Tables are read back as written, and bad ones are refused by file, row and key."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import GOOD, file

from router import Row, Table, TableError


def test_reads_what_design_promises(tmp_path: Path) -> None:
    second = {"id": "b", "question": "3?", "correct": {"y": 1, "z": None}, "skills": ["counting"], "answer": 3}
    table = Table.read(file(tmp_path, GOOD, "", second))
    assert table.experts == ("x", "y")
    assert table.ids == ("a", "b")
    np.testing.assert_array_equal(table.correct, np.array([[1, 0.25], [np.nan, 1]], np.float32))
    assert table.rows[0].extra == {"source": {"page": 7}}
    assert table.rows[0].predictions == {"x": "4", "y": None}
    assert table.rows[1].answer == "3"
    assert table.skills() == ((), ("counting",))
    assert table.skills(["split"]) == (("val",), ())
    assert table.split("val").ids == ("a",)


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_written_tables_read_back_equal_and_bytes_repeat(tmp_path: Path, name: str) -> None:
    table = Table.read(file(tmp_path, GOOD))
    table.write(tmp_path / name)
    first = (tmp_path / name).read_bytes()
    table.write(tmp_path / name)
    assert Table.read(tmp_path / name) == table
    assert (tmp_path / name).read_bytes() == first
    assert {path.name for path in tmp_path.iterdir()} == {"t.jsonl", name}


def test_duplicate_id_names_both_rows(tmp_path: Path) -> None:
    path = file(tmp_path, GOOD, "", GOOD)
    with pytest.raises(TableError) as error:
        Table.read(path)
    assert str(error.value) == f"{path}: row 3: id: 'a' stands already at {path}: row 1"


def test_other_experts_than_the_fitted_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"row 1: correct\.y: the expert 'y' is unknown"):
        Table.read(file(tmp_path, GOOD), experts=("x",))
    assert Table.read(file(tmp_path, GOOD), experts=("y", "x", "new")).experts == ("y", "x", "new")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"not gzip", gzip.compress(b"{}\n" * 999, mtime=0)[:-9]])
def test_file_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(TableError) as error:
        Table.read(path)
    assert str(error.value).startswith(str(path))


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(TableError, match=str(path)):
            Table.read(path)


def test_choosing_experts_and_rows(tmp_path: Path) -> None:
    table = Table.read(file(tmp_path, GOOD))
    assert table.select_experts(["y"]).rows[0].correct == {"y": 0.25}
    assert table.select_experts(["y"]).rows[0].predictions == {"y": None}
    assert np.isnan(table.add_experts(["new"]).correct[:, 2]).all()
    with pytest.raises(TableError, match="'yy' is unknown; did you mean 'y'"):
        table.select_experts(["yy"])
    with pytest.raises(TableError, match="there is no 'dev'; the table has val"):
        table.split("dev")
    with pytest.raises(TableError, match="no row is left"):
        table.where(lambda row: False)


@settings(max_examples=30)
@given(
    st.lists(
        st.builds(
            Row,
            id=st.uuids().map(str),
            question=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip),
            correct=st.dictionaries(st.sampled_from("xyz"), st.floats(0, 1), min_size=1),
            skills=st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
        ),
        min_size=1,
        unique_by=lambda row: row.id,
    )
)
def test_any_table_survives_a_file(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = tmp_path_factory.mktemp("table") / "t.jsonl"
    Table.from_rows(rows).write(path)
    assert Table.read(path).rows == tuple(rows)
