"""The number that a statement states, and statements that state none."""

from __future__ import annotations

from fractions import Fraction

import pytest

from agents.answers.statements import conclusion, sentences, stated


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
    assert sentences("He has 3.5 pies. They are good.") == ["He has 3.5 pies.", "They are good."]
