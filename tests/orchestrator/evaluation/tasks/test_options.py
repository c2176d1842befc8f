"""The options of a question, in every form in which people write them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.evaluation.tasks.cells import CellError
from orchestrator.evaluation.tasks.options import from_cells, in_question, letters, read, scored, with_right

RED_BLUE = {"A": "red", "B": "blue"}


@pytest.mark.parametrize(
    "value",
    [
        {"A": "red", "B": "blue"},
        {"A": "red", "B": "blue", "C": None},
        ["red", "blue"],
        ["A) red", "B) blue"],
        {"text": ["red", "blue"], "label": ["A", "B"]},
        [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}],
        [{"A": "red"}, {"B": "blue"}],
        '["red", "blue"]',
        "['red', 'blue']",
        "red | blue",
        "A) red\nB) blue",
        "(A) red (B) blue",
    ],
)
def test_options_are_the_same_however_they_are_written(value: Any) -> None:
    found = read(value, "options")
    assert found is not None
    assert found.mapping == RED_BLUE


def test_the_right_one_may_be_marked() -> None:
    flagged = read([{"text": "red", "is_correct": False}, {"text": "blue", "is_correct": True}], "options")
    assert flagged is not None
    assert flagged.right == 1
    assert scored({"red": 0, "blue": 1}, "options").right == 1
    truthful = read({"choices": ["red", "blue"], "labels": [0, 1]}, "options")
    assert truthful is not None
    assert (truthful.right, truthful.mapping) == (1, RED_BLUE)


def test_options_of_a_column_each_end_where_the_cells_do() -> None:
    found = from_cells(["red", "blue", None], ["A", "B", "C"], "options")
    assert found is not None
    assert found.mapping == RED_BLUE
    assert from_cells([None, ""], ["A", "B"], "options") is None


def test_options_at_the_end_of_a_question_are_taken_off() -> None:
    found = in_question("Which colour?\nA) red\nB) blue")
    assert found is not None
    assert (found[0], found[1].mapping) == ("Which colour?", RED_BLUE)
    assert in_question("Point A) is above B).") is None
    assert in_question("Which?\nA) red\nB) blue\nExplain your choice.") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["red"], "1 options: a choice has from 2"),
        (["red", " "], "an option is empty"),
        ({"A": "red", "a": "blue"}, "two options have the label"),
        ([{"text": "x", "correct": True}, {"text": "y", "correct": True}], "2 of 2 options are marked as right"),
        ({"text": ["red", "blue"], "label": ["A"]}, "1 labels for 2 options"),
        ("red", "is no list of options"),
        (7, "must be a list or a mapping"),
    ],
)
def test_what_are_no_options_is_refused_by_key(value: Any, message: str) -> None:
    with pytest.raises(CellError, match=f"options.*{message}"):
        read(value, "options")


def test_letters_end_at_z() -> None:
    assert letters(26)[-1] == "Z"
    assert letters(27)[:2] == ("1", "2")


def test_the_right_option_beside_a_list_of_wrong_ones() -> None:
    found = with_right("air", ["iron", "wood"], "wrong")
    assert found is not None
    assert (found.mapping, found.right) == ({"A": "air", "B": "iron", "C": "wood"}, 0)
    assert with_right("air", [], "wrong") is None
    with pytest.raises(CellError, match="no right one beside them"):
        with_right(None, ["iron"], "wrong")
    with pytest.raises(CellError, match="must be a list of options"):
        with_right("air", 3, "wrong")
