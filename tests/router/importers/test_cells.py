"""Cells of foreign tables: numbers, scores and text, or refused by their place; rows from several records."""

from __future__ import annotations

from typing import Any

import pytest

from router.importers.cells import Gathering, cost, first, number, score, text
from router.row import TableError


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("0.5", 0.5),
        (True, 1.0),
        ("Correct", 1.0),
        ("false", 0.0),
        ("0,5", 0.5),
        ("95%", 0.95),
        ("no", 0.0),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_a_score_however_it_is_written(value: Any, found: float | None) -> None:
    assert number(value, "x") == found
    assert score(value, "x") == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("good", "must be a number"),
        ("1,000", "must be a number"),
        ("950%", "divide by"),
        ("inf", "must be finite"),
        (5, "divide by the highest"),
    ],
)
def test_what_is_no_score_is_refused_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(TableError, match=f"row 3: {message}|row 3: .*{message}"):
        score(value, "row 3")


def test_text_comes_out_of_a_list_and_is_never_empty() -> None:
    assert text("['Q?']", "x") == text(["Q?"], "x") == "Q?"
    assert text("['a', 'b']", "x") == "a\n\nb"
    assert text("[1 + ", "x") == "[1 + "
    assert text(7, "x") == "7"
    for empty in ("", " ", None, {}):
        with pytest.raises(TableError, match="x: must be text"):
            text(empty, "x")


def test_records_of_one_question_become_one_row() -> None:
    gathering = Gathering()
    for expert, value in (("a", 1.0), ("b", 0.0), ("b", 0.0), ("c", None)):
        gathering.row("Q?", task="sums").add(expert, value, "x")
    gathering.row("never scored")
    (row,) = gathering.finished()
    assert (row.question, row.correct, row.task) == ("Q?", {"a": 1.0, "b": 0.0}, "sums")
    with pytest.raises(TableError, match="'b' has the scores 0 and 1 for one question"):
        gathering.row("Q?").add("b", 1.0, "x")
    gathering.row("Q?", id=7)
    with pytest.raises(TableError, match="id '7': two different questions"):
        gathering.row("Another?", id=7)


def test_the_first_cell_that_holds_something_counts() -> None:
    assert first({"a": "", "b": 0, "c": 1}, "a", "b", "c") == 0
    assert first({}, "a") is None


def test_a_cost_is_no_less_than_nothing() -> None:
    assert cost("0.25", "x") == 0.25
    assert cost(float("nan"), "x") is None
    with pytest.raises(TableError, match=r"row 3: must be a cost from 0, is -0.1"):
        cost(-0.1, "row 3")
