"""`collegium task`: a file of questions as it is understood, before anybody answers it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import BadInput

ROWS = [
    {"id": "a", "question": "1 + 1?", "answer": "2.0", "kind": "number", "split": "validation"},
    {"id": "b", "question": "1 + 1?", "answer": "2.0", "kind": "number", "split": "test"},
    {"id": "c", "question": "[red]Which?", "answer": "B", "choices": {"A": "x", "B": "y"}, "split": "test"},
]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["task", *arguments], catch_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_people_see_questions_gold_splits_and_leaks(file: str) -> None:
    shown = call(file).stdout
    for part in ("gold 2.0 (read as 2)", "[red]Which?", "A: x", "validation 1, test 2", "number 2, choice 1", "1: "):
        assert part in shown
    assert "Which?" not in call(file, "--show", "1").stdout


def test_programs_get_the_same_as_json(file: str) -> None:
    found = json.loads(call(file, "--json", "--show", "1").stdout)
    assert (found["splits"], found["kinds"], len(found["first"])) == (
        {"validation": 1, "test": 2},
        {"number": 2, "choice": 1},
        1,
    )
    assert next(iter(found["leaks"].values()))["count"] == 1


def test_a_generated_task_has_no_end_and_a_wrong_column_is_named(file: str) -> None:
    endless, wrong = call("coin_flip").exception, call(file, "--columns", "question=nothing").exception
    assert isinstance(endless, BadInput)
    assert "is generated, without end" in str(endless)
    assert isinstance(wrong, BadInput)
    assert "nothing" in str(wrong)
