"""Cells: found by a dotted name, and read as text without changing what they say."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest

from orchestrator.evaluation.tasks.cells import CellError, cell, kind_in_words, scalar, unescaped


def test_a_dotted_name_reaches_inside_unless_a_column_has_that_name() -> None:
    assert cell({"choices": {"text": ["a"]}}, "choices.text") == ["a"]
    assert cell({"choices.text": 1, "choices": {"text": 2}}, "choices.text") == 1
    assert cell({"choices": "x"}, "choices.text") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" a ", " a "),
        ("  ", None),
        (None, None),
        (True, "true"),
        (18.0, "18"),
        (0.5, "0.5"),
        (decimal.Decimal("2.50"), "2.50"),
        (10**30, str(10**30)),
        (datetime.date(2024, 5, 1), "2024-05-01"),
    ],
)
def test_a_value_as_text(value: Any, text: str | None) -> None:
    assert scalar(value, "x") == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {"a": 1}, b"x"])
def test_what_is_no_value_is_refused_by_key(value: Any) -> None:
    with pytest.raises(CellError, match=r"^answer: "):
        scalar(value, "answer")


def test_kinds_in_words() -> None:
    assert [kind_in_words(value) for value in ({"a": 1}, [1, 2], b"x", 1)] == [
        "an object with the keys a",
        "a list of 2",
        "bytes",
        "of type int",
    ]


def test_entities_of_html_are_the_signs_they_stand_for() -> None:
    record = {"question": "AT&amp;T &#039;is&quot;", "choices": ["1 &lt; 2", "x"], "n": 3}
    assert unescaped(record) == {"question": "AT&T 'is\"", "choices": ["1 < 2", "x"], "n": 3}
    about = {"question": "Which entity of HTML is <?", "answer": "&lt;"}
    assert unescaped(about) is about
    plain = {"question": "R&D; A & B"}
    assert unescaped(plain) is plain
