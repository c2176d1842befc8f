"""One term, in LaTeX or plain, as a tree; what cannot be read wholly is none."""

from __future__ import annotations

from fractions import Fraction

import pytest

from agents.answers.terms import LENGTH, read_term


def test_precedence_fractions_and_functions() -> None:
    two, one = ("number", Fraction(2)), ("number", Fraction(1))
    assert read_term("2x + 1") == ("+", ("*", two, ("symbol", "x")), one)
    assert read_term("\\frac{1}{2}") == ("/", one, two)
    assert read_term("\\sin(x)") == read_term("sin x") == ("function", "sin", ("symbol", "x"))


@pytest.mark.parametrize("text", ["x +", "(1", "1)", "", "2 * * 3", "\\frac{1}"])
def test_what_is_not_wholly_a_term_is_none(text: str) -> None:
    assert read_term(text) is None


def test_depth_and_length_are_bounded() -> None:
    assert read_term("(" * 10 + "1" + ")" * 10) is not None
    assert read_term("(" * 50 + "1" + ")" * 50) is None
    assert read_term("1+" * LENGTH + "1") is None
