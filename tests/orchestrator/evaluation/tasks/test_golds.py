"""Gold answers in any of their forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.answers import score
from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import parse_columns, source_of


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def read(name: str, columns: str = "") -> list[Question]:
    return list(source_of(name, parse_columns(columns)).questions())


def test_several_accepted_answers(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "Capital?", "answer": ["Paris", "Paris, France"]},
        {"question": "Capital?", "answer": {"value": "Paris", "aliases": ["Paris, France", "Paris"]}},
        {"question": "Capital?", "answers": {"text": ["Paris", "Paris, France", "Paris"], "answer_start": [1, 1, 9]}},
    ]
    for row in rows:
        (question,) = read(lines(tmp_path / "a.jsonl", row))
        assert question.golds == ("Paris", "Paris, France")


def test_index_gold_is_counted_as_the_whole_file_shows(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "choices": ["x", "y", "z"], "answer": n} for n in (1, 3, 2)]
    assert [q.answer for q in read(lines(tmp_path / "a.jsonl", *rows))] == ["A", "C", "B"]
    rows = [{"question": f"{n}?", "choices": ["x", "y", "z"], "answer": n} for n in (1, 0, 2)]
    assert [q.answer for q in read(lines(tmp_path / "a.jsonl", *rows))] == ["B", "A", "C"]
    rows = [{"question": f"{n}?", "choices": ["x", "y", "z"], "answer": n} for n in (0, 3)]
    with pytest.raises(BadInput, match="is no option"):
        read(lines(tmp_path / "a.jsonl", *rows))
    both = lines(tmp_path / "a.jsonl", {"question": "?", "choices": ["1", "2", "3"], "answer": 1})
    assert [read(both, f"answer_is={way}")[0].answer for way in ("text", "from0", "from1")] == ["A", "B", "A"]


def test_kinds_are_guessed_on_all_gold_answers_with_a_reason(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"question": "a?", "answer": "7"}, {"question": "b?", "answer": "Ada"})
    assert {question.kind for question in read(path)} == {"text"}
    assert any("a.jsonl:2: 'Ada' is no number" in reason for reason in source_of(path).layout.reasons)


def test_a_list_of_members_is_one_gold_answer_of_a_set_and_of_a_list(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "Even digits?", "kind": "set", "answer": [2, 4, 6, 8]},
        {"question": "First letters?", "kind": "list", "answer": ["a", "b"]},
        {"question": "Roots?", "kind": "set", "answer": ["{1, 2}", "{2, 1, 1}"]},
    ]
    found = read(lines(tmp_path / "sets.jsonl", *rows))
    assert [score("8, 6, 4, 2", found[0]), score("2", found[0])] == [1.0, 0.0]
    assert [score("[a, b]", found[1]), score("a", found[1]), score("[b, a]", found[1])] == [1.0, 0.0, 0.0]
    assert score("{1, 2}", found[2]) == 1.0
