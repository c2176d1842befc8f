"""How gold answers name options, and the order of options of which the first is always right."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import source_of
from orchestrator.evaluation.tasks.inspection import inspect


def read(folder: Path, rows: list[dict[str, Any]]) -> tuple[list[Question], str]:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps({"question": f"Which {n}?", **row}) + "\n" for n, row in enumerate(rows)))
    found = inspect(source_of(str(path)), len(rows))
    return found.first, "; ".join(found.reasons)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"choices": ["red", "blue"], "answer": "B. blue"}, "blue"),
        ({"choices": ["red", "blue"], "answer": "(b) Blue."}, "blue"),
        ({"choices": ["Red", "Blue"], "answer": "blue"}, "Blue"),
        ({"choices": ["a) red", "b) blue"], "answer": "b"}, "blue"),
        ({"choices": ["red", "blue", "big"], "labels": [0, 0, 1]}, "big"),
        ({"mc1_targets": {"You die": 0, "Nothing happens": 1}}, "Nothing happens"),
        ({"choices": {"A": 1, "B": 0}, "answer": "A"}, "1"),
        ({"Problem": "?", "options": "a ) 3 , b ) 4", "correct": "b"}, "4"),
        ({"context": "All cats.", "answers": ["a1", "b1", "c1"], "label": 2}, "c1"),
        ({"answer": "", "label": "B", "options": ["(A)red", "(B)blue"]}, "blue"),
    ],
)
def test_the_right_option_is_found(tmp_path: Path, row: dict[str, Any], text: str) -> None:
    (question,), _ = read(tmp_path, [row])
    assert (question.choices or {})[str(question.answer)] == text


def test_a_label_with_another_options_text_names_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'A\. blue' is no option"):
        read(tmp_path, [{"choices": ["red", "blue"], "answer": "A. blue"}])


def test_options_of_which_the_first_is_always_right_are_put_in_another_order(tmp_path: Path) -> None:
    rows = [{"choices": [f"right {n}", "x", "y", "z"], "answer": 0} for n in range(40)]
    questions, reasons = read(tmp_path, rows)
    assert all((one.choices or {})[str(one.answer)].startswith("right") for one in questions)
    assert max(Counter(one.answer for one in questions).values()) < 20
    assert "the right option is number 1 in 40 of 40 questions: options stand in an order" in reasons
    assert read(tmp_path, rows)[0] == questions


def test_labels_that_the_file_gives_stay_where_they_are(tmp_path: Path) -> None:
    rows = [{"choices": {"A": f"right {n}", "B": "x"}, "answer": "A"} for n in range(12)]
    questions, reasons = read(tmp_path, rows)
    assert {one.answer for one in questions} == {"A"}
    assert "the right option is number 1 in 12 of 12 questions: whoever always names it" in reasons


@pytest.mark.parametrize("gold", ["The answer is: 3", "the answer is 3.", "Answer: 3"])
def test_gold_behind_the_words_of_a_solution(tmp_path: Path, gold: str) -> None:
    questions, reasons = read(tmp_path, [{"query": "?", "response": f"2 + 1. {gold}"}])
    assert (questions[0].kind, str(questions[0].answer).rstrip(".")) == ("number", "3")
    assert "gold is what follows the last" in reasons
