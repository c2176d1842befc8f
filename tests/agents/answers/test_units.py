"""One quantity in two units."""

from fractions import Fraction

import pytest

from agents.answers.units import same


@pytest.mark.parametrize(
    ("first", "unit", "second", "other", "equal"),
    [
        ("2.5", " hours", "150", " minutes", True),
        ("2.5", " hours", "90", " minutes", False),
        ("1", " km", "1000", " metres", True),
        ("3", " cats", "3", " dogs", False),
        ("5", " minutes", "5", " minutes", False),
        ("1", " hour", "60", " km", False),
    ],
)
def test_the_same_quantity(first: str, unit: str, second: str, other: str, equal: bool) -> None:
    assert same(Fraction(first), unit, Fraction(second), other) is equal
