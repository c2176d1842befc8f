"""The number that a statement states, and statements that state none."""

from __future__ import annotations

from fractions import Fraction

import pytest

from agents.answers.statements import conclusion, in_sentence, sentences, stated


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Room 2 has 5 chairs", 5),
        ("It is not 5 but 6", 6),
        ("There are 3 cats.", 3),
        ("3 or 4", None),
        ("between 3 and 4", None),
        ("I cannot determine 7", None),
        ("7 is wrong", None),
        ("the claim that it is 7 is false", None),
        ("7 (6 is wrong)", 7),
        ("about 7-9", None),
        ("7 km to 9 km", None),
        ("7?? or 8??", None),
        ("Step 7 of the proof", None),
        ("Page 7", 7),
        ("Let me think about 7", None),
    ],
)
def test_one_number_is_stated_or_none(text: str, number: int | None) -> None:
    assert stated(text) == number


def test_a_reply_concludes_with_its_last_sentence_that_has_a_number() -> None:
    assert conclusion("There are 3 cats. So there are 4 dogs. They are happy.") == 4
    assert conclusion("He eats 3.14 pies") == Fraction(157, 50)
    assert conclusion("We add 3 and 4. " * 100 + "The next step adds 5 apples to") is None  # cut off


def test_a_decimal_point_ends_no_sentence() -> None:
    assert sentences("He has 3.5 pies. They are good.") == ("He has 3.5 pies.", "They are good.")


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("At 35 mph for 2 hours, the car covers 70 miles.", 70),
        ("After checking all 20 candidates, 17 of them are prime.", 17),
        ("It would take her 2.5 hours, or 150 minutes.", Fraction(5, 2)),
        ("It would take her 2.5 hours, or 90 minutes.", None),
        ("He has 7 rows of 9 plants, i.e. 63 plants.", 63),
        ("None of the apples are left, so 0.", 0),
        ("12.4, which rounds up to 13", 13),
        ("1001 = 7 × 11 × 13 is the smallest such number.", 1001),
        ("There are three such integers: 2, 4, and 6.", 3),
        ("She ate 5 and had 3 left.", 3),
        ("each gets 4 and 2 are left over", None),
        ("She got 18 out of 25 questions right.", 18),
        ("The probability is 3 out of 10 draws.", None),
        ("The car was going sixty miles per hour.", 60),
        ("Exactly three of the numbers are odd.", 3),
        ("It happened on July 4, 1776.", None),
        ("Apollo 11 landed on the Moon in 1969.", None),
    ],
)
def test_a_number_among_circumstances(sentence: str, value: Fraction | int | None) -> None:
    assert in_sentence(sentence.rstrip(".")) == value
