"""A row of a table that anyone may have written: read, or named by row and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from table_rows import GOOD, file

from router import Table, TableError


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"id": None}, "id: must be text that is not empty, is missing"),
        ({"id": " "}, "id: must be text"),
        ({"question": ""}, "question: must be text that is not empty, is empty text"),
        ({"question": 3}, "question:"),
        ({"correct": None}, "correct: must be an object of experts, is missing"),
        ({"correct": {"x": 1.5}}, "correct.x: must be a number from 0 to 1, is '1.5'"),
        ({"correct": {"x": -0.1}}, "correct.x:"),
        ({"correct": {"x": "1"}}, "correct.x:"),
        ({"correct": {"": 1}}, "correct: an expert's name is empty"),
        ({"predictions": {"x": ["4"]}}, "predictions.x: must be text, is a list"),
        ({"predictions": {"xx": "4"}}, "predictions.xx: the expert 'xx' is unknown; did you mean 'x'?"),
        ({"skills": "algebra"}, "skills: must be a list of texts, is text"),
        ({"skills": [None]}, "skills[0]:"),
        ({"split": []}, "split: must be text, is a list"),
    ],
)
def test_bad_row_is_named_by_row_and_key(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    path = file(tmp_path, GOOD, "", GOOD | {"id": "b"} | change)
    with pytest.raises(TableError) as error:
        Table.read(path)
    assert str(error.value).startswith(f"{path}: row 3: {key}")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '{"id": "a", "question": "q", "correct": {"x": NaN}}',
        '{"id": "a", "question": "q", "correct": {"x": 1, "x": 0}}',
        '{"id": "a", "question": "\\ud800", "correct": {"x": 1}}',
        '{"id": "a", "question": "q", "correct": {"x": ' + "9" * 5000 + "}}",
        "[" * 100_000,
    ],
)
def test_hostile_line_is_refused_by_row(tmp_path: Path, line: str) -> None:
    with pytest.raises(TableError, match=r"row 1: "):
        Table.read(file(tmp_path, line))


def test_bytes_that_are_no_text_are_refused_by_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe\n")
    with pytest.raises(TableError, match=r"row 2: not valid JSON"):
        Table.read(tmp_path / "t.jsonl")


def test_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.row.MAX_ROW_BYTES", 1000)
    with pytest.raises(TableError, match=r"row 2: longer than 1000 bytes"):
        Table.read(file(tmp_path, GOOD, GOOD | {"question": "x" * 2000}))
