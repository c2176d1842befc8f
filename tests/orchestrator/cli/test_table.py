"""`collegium table`: other projects' tables come in, ours go out, and come back the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import BadInput
from router.table import Table

ROWS = [
    {"prompt": "Q1?", "model": "a", "score": 1.0, "cost": 0.5},
    {"prompt": "Q1?", "model": "b", "score": 0.0, "cost": 2.0},
    {"prompt": "Q2?", "model": "a", "score": 0.5},
]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["table", *arguments], catch_exceptions=True)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "foreign.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_an_import_says_what_was_read_as_what(foreign: Path) -> None:
    found = json.loads(call("import", str(foreign), "--json").stdout)
    assert (found["format"], found["records"], found["questions"], found["costs"]) == ("long", 3, 2, True)
    assert found["experts"] == {"a": {"scored": 2, "mean": 0.75}, "b": {"scored": 1, "mean": 0.0}}
    assert Table.read(found["out"]).experts == ("a", "b")
    assert "a: mean score 0.750 over 2 questions" in call("import", str(foreign), "--out", "t.jsonl").stdout


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_an_exported_table_is_imported_the_same(foreign: Path, suffix: str) -> None:
    call("import", str(foreign), "--out", "t.jsonl")
    assert call("export", "t.jsonl", f"out.{suffix}").exit_code == 0
    assert call("import", f"out.{suffix}", "--out", "again.jsonl").exit_code == 0
    first, again = Table.read("t.jsonl"), Table.read("again.jsonl")
    assert [(row.question, row.correct) for row in again.rows] == [(row.question, row.correct) for row in first.rows]


def test_what_is_no_table_and_no_kind_of_file_is_one_line(foreign: Path) -> None:
    Path("no.jsonl").write_text('{"a": 1}\n')
    assert isinstance(call("import", "no.jsonl").exception, BadInput)
    call("import", str(foreign), "--out", "t.jsonl")
    refused = call("export", "t.jsonl", "out.xlsx").exception
    assert isinstance(refused, BadInput)
    assert "must end in .jsonl, .csv, .parquet" in str(refused)
