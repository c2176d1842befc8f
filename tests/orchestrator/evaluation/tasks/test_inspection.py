"""Duplicates, leaks and contradictions of a data set, named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.evaluation.tasks import source_of
from orchestrator.evaluation.tasks.inspection import inspect


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def test_inspection_names_duplicates_leaks_and_contradictions(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "One?", "answer": "1", "split": "train"},
        {"id": "b", "question": "one? ", "answer": "1", "split": "test"},
        {"id": "c", "question": "Two?", "answer": "2", "split": "test"},
        {"id": "d", "question": "Two?", "answer": "3", "split": "test"},
        {"id": "e", "question": "Three?", "answer": "3", "split": "validation"},
    ]
    found = inspect(source_of(lines(tmp_path / "a.jsonl", *rows)))
    assert found.leaks["train and test"].examples == [("a", "b")]
    assert (found.duplicates.examples, found.contradictions.examples) == ([("c", "d")], [("c", "d")])
    assert (found.splits, found.kinds) == ({"train": 1, "test": 3, "validation": 1}, {"number": 5})
