"""Which option a sentence names: rejected ones fall, those named together are none."""

from __future__ import annotations

import pytest

from agents.answers.labels import prepared
from agents.answers.mentions import NAMED, REJECTED, mentioned, verdicts

OPTIONS = prepared(tuple({"A": "red", "B": "blue", "C": "green", "D": "yellow"}.items()))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A and D are incorrect.", None),
        ("A, B, and D are incorrect, so C must be correct.", "C"),
        ("I would eliminate A and C.", None),
        ("not A or B but C", "C"),
        ("A is a common misconception; B is the right answer.", "B"),
        ("B? No, wait.", None),
        ("A or B", None),
        ("The options are A) red, B) blue, C) green, D) yellow.", None),
    ],
)
def test_an_option_is_named_or_rejected(text: str, label: str | None) -> None:
    found, how = mentioned(text, OPTIONS, False)
    assert found == label
    assert how in (NAMED, REJECTED)


def test_nothing_is_named_where_no_label_stands() -> None:
    assert mentioned("the sky", OPTIONS, False) == (None, "")


def test_what_is_only_rejected_is_told_from_what_is_named() -> None:
    assert mentioned("Paris, not A.", OPTIONS, False) == (None, REJECTED)
    assert mentioned("A or B", OPTIONS, False) == (None, NAMED)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("- A: no\n- B: yes\n- C: no", ["B"]),
        ("A) red – ❌\nB) blue – ✅", ["B"]),
        ("A. Incorrect – too long.\nB. Correct – short.", ["B"]),
        ("A: yes\nB: yes", ["A", "B"]),
        ("A) red\nB) blue", None),
        ("A: no\nSo what?", None),
    ],
)
def test_a_table_of_verdicts_says_which_are_right(text: str, right: list[str] | None) -> None:
    assert verdicts(text, OPTIONS) == right
