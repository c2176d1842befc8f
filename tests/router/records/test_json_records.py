"""Records of JSON, however a file holds them; what is none is named by line or row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from router.records.files import RecordError
from router.records.json_records import kind_of, parsed, records

PATH = Path("a.json")


def read(text: str, lines_only: bool = False) -> list[dict[str, Any]]:
    return [body for _, body in records(io.BytesIO(text.encode()), PATH, lines_only)]


ONE, TWO = {"question": "a"}, {"question": "b"}


@pytest.mark.parametrize(
    "text",
    [
        '{"question": "a"}\n\n{"question": "b"}',
        '[{"question": "a"},\n {"question": "b"}]',
        '{"data": [{"question": "a"}, {"question": "b"}]}',
        '{"rows": [{"row": {"question": "a"}}, {"row": {"question": "b"}}]}',
        '{"results": [{"question": "a"}, {"question": "b"}]}',
        '{"question": ["a", "b"]}',
        '{"question": {"0": "a", "1": "b"}}',
    ],
)
def test_records_are_found_wherever_a_file_holds_them(text: str) -> None:
    assert read(text) == [ONE, TWO]


def test_splits_and_ids_that_are_keys_stand_in_the_records() -> None:
    assert read('{"train": [{"question": "a"}], "test": [{"question": "b"}]}') == [
        {**ONE, "split": "train"},
        {**TWO, "split": "test"},
    ]
    assert read('{"x": {"question": "a"}, "y": {"question": "b"}}') == [{**ONE, "id": "x"}, {**TWO, "id": "y"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "a"}\n{"question": \n', r"a.json:2: not valid JSON"),
        ('{"a": 1, "a": 2}\n', r"not valid JSON.*'?a'?"),
        ('{"a": 1}\n[1]\n', r"a.json:2: must be an object, is a list"),
        ('[{"a": 1} {"a": 2}]', r"row 2: not valid JSON: a comma is missing"),
        ('[{"a": 1}', r"row 2: the array is not closed"),
        ('[{"a": 1}] x', r"more text follows the end of the array"),
        ('{"question": ["a", "b"], "answer": ["1"]}', r"columns of different length: question 2, answer 1"),
        ('{"a": "\\ud800"}\n', r"half of a surrogate pair"),
    ],
)
def test_what_is_no_record_is_named_by_its_place(text: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read(text, lines_only=text.startswith("{") and "\n" in text)


def test_deep_nesting_is_an_error_and_kinds_have_words() -> None:
    with pytest.raises(RecordError, match="x: not valid JSON"):
        parsed("[" * 100_000, "x")
    assert [kind_of(value) for value in (None, "a", " ", {}, [], True, 2)] == [
        "missing",
        "text",
        "empty text",
        "an object",
        "a list",
        "true or false",
        "a number",
    ]


def test_the_questions_of_squads_own_files() -> None:
    asked = {"id": "1", "question": "Where?", "answers": [{"text": "France", "answer_start": 12}]}
    body = {"data": [{"title": "Paris", "paragraphs": [{"context": "Paris is in France.", "qas": [asked]}]}]}
    assert read(json.dumps(body)) == [{"title": "Paris", "context": "Paris is in France.", **asked}]


def test_one_object_from_question_to_answer() -> None:
    found = read(json.dumps({"What is 2+2?": "4", "What is 3+3?": 6}))
    assert found == [{"question": "What is 2+2?", "answer": "4"}, {"question": "What is 3+3?", "answer": 6}]


def test_lines_may_end_with_the_comma_of_an_array() -> None:
    assert read('{"question": "a"},\n{"question": "b"},\n', lines_only=True) == [ONE, TWO]
    with pytest.raises(RecordError, match=r"a.json:1: not valid JSON"):
        read('{"question": "a"},,\n', lines_only=True)
