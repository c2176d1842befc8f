"""Numbers as people write them, read exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import answers
from agents.answers.numbers import whole
from agents.question import Question


def number(text: str = "How many?") -> Question:
    return Question(id="n", question=text, kind="number", answer="18")


@pytest.mark.parametrize(
    "spelling",
    [
        "18",
        "18.0",
        "18.00",
        "$18",
        "18 apples",
        " 18.",
        "+18",
        "36/2",
        "18 %",
        "1.8e1",
        "about 18",
        "018",
        "**18**",
        "17 2/2",
    ],
)
def test_the_same_number_however_it_is_spelled(spelling: str) -> None:
    assert answers.canonical(spelling, "number") == "18"


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1,800", "1800"),
        ("1,234,567.50", "2469135/2"),
        ("-3", "-3"),
        ("−3", "-3"),
        ("-$5", "-5"),
        ("0.5", "1/2"),
        ("1 1/2 cups", "3/2"),
        (".5", "1/2"),
        ("12.", "12"),
        ("1,80", "9/5"),
    ],
)
def test_numbers(spelling: str, value: str) -> None:
    assert answers.canonical(spelling, "number") == value


@pytest.mark.parametrize("spelling", ["", "eightyish", "-", "$", "1/0", "1e999999999", "3 or 4", "12:30", "2024-05-01"])
def test_no_number(spelling: str) -> None:
    assert answers.canonical(spelling, "number") is None


@given(st.fractions(max_denominator=10_000))
def test_every_fraction_is_read_back(value: Fraction) -> None:
    spelled = answers.canonical(f"{value.numerator}/{value.denominator}", "number")
    assert spelled is not None
    assert Fraction(spelled) == value


@given(
    st.integers(min_value=0, max_value=10**15),
    st.sampled_from(["{}", "{:,}", "${:,}", "{}.0", "Answer: {:,}", "{} kg"]),
)
def test_every_integer_is_read_in_every_dress(value: int, dress: str) -> None:
    assert answers.extract(dress.format(value), number()) == str(value)


@pytest.mark.parametrize("spelling", ["3π", "3 π", "3α", "3∞"])
def test_a_greek_letter_behind_a_number_is_no_unit(spelling: str) -> None:
    assert whole(spelling) is None
    assert whole("3 μm") == 3
