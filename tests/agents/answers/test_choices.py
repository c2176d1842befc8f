"""Which option an answer names."""

import pytest

from agents import answers
from agents.answers.choices import choice_in

CHOICES = {"A": "red", "B": "blue ball", "C": "a red ball"}


@pytest.mark.parametrize(
    "spelling",
    ["B", "b", "(B)", "B.", "B)", "[B]", "**B**", "B: blue ball", "Option B", "blue ball", "Blue  Ball.", "(b) x"],
)
def test_the_same_option_however_it_is_named(spelling: str) -> None:
    assert answers.canonical(spelling, "choice", CHOICES) == "B"


def test_an_option_text_wins_over_a_word_that_looks_like_a_letter() -> None:
    assert answers.canonical("a red ball", "choice", CHOICES) == "C"
    assert answers.canonical("a blue ball", "choice", CHOICES) == "B"
    assert answers.canonical("D", "choice", CHOICES) is None
    assert answers.canonical("the yellow one", "choice", CHOICES) is None


def test_options_numbered_by_digits() -> None:
    assert answers.canonical("2", "choice", {"1": "cat", "2": "dog"}) == "2"
    assert answers.canonical("2) dog", "choice", {"1": "cat", "2": "dog"}) == "2"


@pytest.mark.parametrize(
    "reply", ["blue is wrong", "all but B", "everything except B", "All options except B are right"]
)
def test_what_a_reply_sets_apart_as_wrong_is_not_its_answer(reply: str) -> None:
    assert choice_in(reply, {"A": "red", "B": "blue"}) is None
