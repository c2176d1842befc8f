"""An answer out of its dress: markdown, LaTeX, end marks, digits and signs of other scripts."""

from __future__ import annotations

import pytest

from agents.answers.undress import ANSWER_LIMIT, braced, inside_box, undress, without_end_marks


@pytest.mark.parametrize(
    ("dressed", "bare"),
    [
        ("**$\\boxed{12{,}000}$**", "12,000"),
        ("１２", "12"),
        ("½", "1/2"),
        ("$5", "$5"),
        ("$x$", "x"),
        ("\\text{odd}", "odd"),
        ("`a` __b__", "a b"),
        ("−3", "-3"),
    ],
)
def test_layout_goes_and_the_answer_stays(dressed: str, bare: str) -> None:
    assert undress(dressed) == bare


def test_the_last_box_counts_and_braces_are_matched() -> None:
    assert inside_box("\\boxed{1} so \\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"
    assert inside_box("none") == "none"
    assert braced("{a{b}c}d", 0) == "a{b}c"
    assert braced("{a", 0) is None


def test_nothing_is_read_behind_an_end_mark_or_the_limit() -> None:
    assert without_end_marks("5<|im_end|>\n<|im_start|>user 6") == "5"
    assert len(undress("a" * (2 * ANSWER_LIMIT))) == ANSWER_LIMIT
