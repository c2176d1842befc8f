"""Files of questions as people have them: each loads as meant, or one error names place and key."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import parse_columns, source_of

RED_BLUE = {"A": "red", "B": "blue", "C": "big"}


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def read(name: str, columns: str = "") -> list[Question]:
    return list(source_of(name, parse_columns(columns)).questions())


@pytest.mark.parametrize(
    ("row", "kind", "choices", "answer"),
    [
        ({"question": "2+2?", "answer": "4"}, "number", None, "4"),
        ({"question": "2+2?", "answer": 4.0}, "number", None, "4"),
        ({"question": "Two apples and two?", "answer": "2+2=<<2+2=4>>4\n#### 4"}, "number", None, "4"),
        ({"question": "Two?", "kind": "number", "answer": "3+2=<<3+2=5>>5\n#### 5"}, "number", None, "5"),
        ({"problem": "Two?", "solution": "so it is \\boxed{4}."}, "number", None, "4"),
        ({"question": "Two?", "kind": "number", "answer": "\\frac{1}{2}"}, "number", None, "\\frac{1}{2}"),
        ({"question": "Two?", "answer": "2\\sqrt{3}"}, "expression", None, "2\\sqrt{3}"),
        ({"question": "Who?", "answer": "05/01/2021"}, "text", None, "05/01/2021"),
        ({"question": "Even?", "answer": True}, "yesno", None, "true"),
        ({"question": "Even?", "answer": "No"}, "yesno", None, "No"),
        ({"question": "Who?", "answer": "Ada"}, "text", None, "Ada"),
        ({"question": "Which?", "choices": RED_BLUE, "answer": "b"}, "choice", RED_BLUE, "B"),
        ({"question": "Which?", "choices": ["red", "blue", "big"], "answer": 1}, "choice", RED_BLUE, "B"),
        ({"question": "Which?", "choices": ["red", "blue", "big"], "answer": 3}, "choice", RED_BLUE, "C"),
        ({"question": "Which?", "choices": ["red", "blue", "big"], "answer": "blue"}, "choice", RED_BLUE, "B"),
        ({"question": "Which?", "choices": "['red', 'blue', 'big']", "answer": "blue"}, "choice", RED_BLUE, "B"),
        ({"question": "Which?", "options": ["A) red", "B) blue", "C) big"], "correct": "C"}, "choice", RED_BLUE, "C"),
        (
            {"question": "Which?", "choices": {"label": ["1", "2"], "text": ["red", "blue"]}, "answerKey": "1"},
            "choice",
            {"1": "red", "2": "blue"},
            "1",
        ),
        (
            {"question": {"stem": "Which?", "choices": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]}}
            | {"answerKey": "B"},
            "choice",
            {"A": "red", "B": "blue"},
            "B",
        ),
        ({"question": "Which?", "A": "red", "B": "blue", "C": "big", "answer": "C"}, "choice", RED_BLUE, "C"),
        (
            {"sentence": "It is _.", "option1": "red", "option2": "blue", "answer": "2"},
            "choice",
            {"1": "red", "2": "blue"},
            "2",
        ),
        (
            {"question": "Which?", "mc1_targets": {"choices": ["red", "blue", "big"], "labels": [0, 1, 0]}},
            "choice",
            RED_BLUE,
            "B",
        ),
        (
            {"input": "Which?", "target_scores": {"red": 0, "blue": 1, "big": 0}, "target": "blue"}
            | {"choices": ["red", "blue", "big"]},
            "choice",
            RED_BLUE,
            "B",
        ),
        ({"input": "Which?", "target_scores": {"red": 0, "blue": 1, "big": 0}}, "choice", RED_BLUE, "B"),
        ({"question": "Which?\nA. red\nB. blue\nC. big", "answer": "B"}, "choice", RED_BLUE, "B"),
        ({"question": "Which?\n(A) red (B) blue (C) big", "answer": "(B)"}, "choice", RED_BLUE, "B"),
        ({"messages": [{"role": "user", "content": "Which?"}], "ideal": "x"}, "text", None, "x"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Which?"}]}]}
            | {"reward_model": {"ground_truth": "7"}},
            "number",
            None,
            "7",
        ),
        (
            {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "x"}]},
            "text",
            None,
            "x",
        ),
        ({"frage": "Which?", "antwort": "ja"}, "text", None, "ja"),
    ],
)
def test_a_record_is_read_as_meant(
    tmp_path: Path, row: dict[str, Any], kind: str, choices: dict[str, str] | None, answer: str
) -> None:
    named = {"frage": "question=frage,answer=antwort", "sentence": "question=sentence"}
    columns = next((told for key, told in named.items() if key in row), "")
    (question,) = read(lines(tmp_path / "a.jsonl", row), columns)
    assert (question.kind, question.choices, question.answer) == (kind, choices, answer)
    assert question.question in ("2+2?", "Which?", "Even?", "Who?", "Two?", "Two apples and two?", "It is _.")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "4?", "answer": ""}, "a.jsonl:1: answer: no gold answer: the cell is empty"),
        ({"question": "4?", "answer": None}, "a.jsonl:1: answer: no gold answer"),
        ({"question": "4?", "answer": float("nan")}, "a.jsonl:1: answer: nan is no value"),
        ({"question": "4?", "answer": []}, "a.jsonl:1: answer: no answer in it"),
        ({"question": "4?", "answer": {"x": 1}}, r"a.jsonl:1: answer: is an object with the keys x: name the one"),
        ({"question": " ", "answer": "4"}, "a.jsonl:1: question: the question is empty"),
        ({"question": ["a"], "answer": "4"}, "a.jsonl:1: question: must be text or chat messages, is a list of 1"),
        ({"text_of_it": "4?", "answer": "4"}, "question: no column of that name; there are text_of_it, answer"),
        ({"question": "4?", "kind": "essay", "answer": "4"}, "a.jsonl:1: kind: there is no kind 'essay'"),
        ({"question": "4?", "kind": ["text"], "answer": "4"}, r"a.jsonl:1: kind: there is no kind .\['text'\]"),
        (
            {"question": "4?", "kind": "number", "answer": "3+2=5"},
            "a.jsonl:1: answer: '3\\+2=5' is not wholly a number",
        ),
        ({"question": "W?", "choices": {"A": "x", "B": "y"}, "answer": "C"}, "answer: 'C' is no option; they are A, B"),
        ({"question": "W?", "choices": ["x", "y"], "answer": 7}, "answer: '7' is no option"),
        ({"question": "W?", "choices": ["1", "2", "3"], "answer": 1}, "can be read in several ways"),
        ({"question": "W?", "choices": ["B", "A"], "answer": "A"}, "can be read in several ways"),
        ({"question": "W?", "choices": ["x", "y"], "answer": "1"}, "can be read in several ways"),
        ({"question": "W?", "choices": ["x", "y"], "answer": ["A", "B"]}, "2 right options: a choice has one"),
        ({"question": "W?", "choices": ["x"], "answer": "A"}, "choices: 1 options: a choice has from 2"),
        ({"question": "W?", "choices": ["x", ""], "answer": "A"}, r"choices\[1\]: an option is empty"),
        ({"question": "W?", "choices": "['x']", "answer": "x"}, "choices: 1 options"),
        ({"question": "W?", "A": "x", "B": None, "C": "z", "answer": "A"}, "option B is empty"),
        ({"question": "W?", "image": "cat.png", "answer": "cat"}, "image"),
        ({"messages": [{"role": "tool", "content": "x"}], "answer": "y"}, r"messages\[0\]: role 'tool' is none of"),
        (
            {"messages": [{"role": "user", "content": "W?"}, {"role": "assistant", "content": "x"}], "answer": "y"},
            "ends with a reply of the assistant, and answer holds gold too",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(lines(tmp_path / "a.jsonl", row))


def test_a_later_record_that_does_not_fit_the_first_ones_is_named(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": str(n)} for n in range(1_000)]
    path = lines(tmp_path / "a.jsonl", *rows, {"question": "x?", "answer": "many"})
    with pytest.raises(BadInput, match=r"a.jsonl:1001: answer: 'many' is not wholly a number"):
        read(path)
    assert read(path, "kind=text")[-1].answer == "many"


def test_csv_of_every_dress(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["Question", "A", "B", "Answer"], ['Which\n"one"?', "red", "blue", "B"]])
    (question,) = read(str(path))
    assert (question.question, question.choices, question.answer) == ('Which\n"one"?', {"A": "red", "B": "blue"}, "B")
    path.write_bytes("frage;antwort\nWie groß?;1,5 m\n".encode("utf-16"))
    (question,) = read(str(path), "question=frage,answer=antwort")
    assert (question.question, question.answer) == ("Wie groß?", "1,5 m")
    path.write_text("question,answer\nfirst?,1\nsecond?\n")
    with pytest.raises(BadInput, match=r"a.csv:3: 1 cells for 2 columns"):
        read(str(path))


def test_context_instruction_and_system_message_stand_in_the_question(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"passage": "It rains.", "question": "Wet?", "answer": True},
        {"instruction": "Add.", "input": "2 and 3", "output": "5"},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}], "answer": 5},
    ]
    texts = [read(lines(tmp_path / "a.jsonl", row))[0].question for row in rows]
    assert texts == ["It rains.\n\nWet?", "Add.\n\n2 and 3", "Be brief.\n\n2+3?"]


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"q": "?", "a": "1"})
    with pytest.raises(BadInput, match="no column 'x' for question; there are q, a"):
        read(path, "question=x")
    for text, message in [
        ("question", "'question' is not NAME=COLUMN"),
        ("frage=x", "columns: frage: there are question, answer"),
        ("question=x,question=y", "named twice"),
        ("answer_is=number", "answer_is"),
    ]:
        with pytest.raises(BadInput, match=message):
            parse_columns(text)


def test_a_routing_table_is_no_file_of_questions(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"prompt": "a?", "model_a": "x", "model_b": "y", "winner": "tie"})
    with pytest.raises(BadInput, match="collegium table import"):
        read(path)


def test_compressed_files(tmp_path: Path) -> None:
    row = json.dumps({"question": "a?", "answer": "1"}).encode() + b"\n"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(row))
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "a.jsonl.zst").write_bytes(pyarrow.compress(row, codec="zstd", asbytes=True))
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        assert read(str(tmp_path / name))[0].answer == "1"
