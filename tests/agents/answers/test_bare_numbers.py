"""A number on a reply's first line, or the one bold number of a line, is its answer."""

from __future__ import annotations

from fractions import Fraction

from agents.answers.bare_numbers import NUMBER_ASIDE, bold, first_line


def test_a_number_before_its_explanation() -> None:
    assert first_line("45\n\nExplanation: 3 boxes of 15.") == Fraction(45)
    assert first_line("3 boxes\n15 each") is None
    assert first_line("So many\nBecause") is None


def test_the_one_bold_number() -> None:
    assert bold("3 rows of 8, giving **24**.") == Fraction(24)
    assert bold("**3** rows of **8**") is None


def test_an_aside_in_brackets() -> None:
    found = NUMBER_ASIDE.fullmatch("45 (15 x 3)")
    assert found is not None
    assert found["number"] == "45"
    assert NUMBER_ASIDE.fullmatch("f(x)") is None
