"""Which words make a sentence a plan, a refusal or a bound, and which do not."""

from __future__ import annotations

import pytest

from agents.answers import statement_words as patterns


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("REFUSAL", "It cannot be said", "She canned 3 pears"),
        ("GIVES_UP", "I don't know", "I know 3 of them"),
        ("PLAN", "We need to find the sum", "The sum is 3"),
        ("HYPOTHETICAL", "He would have 5 if he sold one", "He has 5"),
        ("WORD_NUMBER", "There are seven", "There are some"),
        ("COMPOUND", "2 hours and 30 minutes", "2 hours and 30 pears"),
        ("CHOSEN", "x = 2 or x = -2; since x > 0, x = 2", "x = 2; y = 3"),
        ("TERM_BEFORE", "x + ", "max "),
    ],
)
def test_words_tell(name: str, yes: str, no: str) -> None:
    pattern = getattr(patterns, name)
    assert pattern.search(yes)
    assert not pattern.search(no)
