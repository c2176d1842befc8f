"""Texts: equal whatever their case, spacing and quotes."""

from agents import answers
from agents.answers.texts import text_key


def test_text_without_case_spacing_and_quotes() -> None:
    assert answers.equal(' "Pear   FIG". ', "pear fig", "text")
    assert not answers.equal("pear", "fig", "text")
    assert answers.canonical("...", "text") == "..."
    assert answers.canonical("  ", "open") is None


def test_numbers_that_and_links_are_numbers() -> None:
    assert text_key("2 and 3") == text_key("2; 3") == "(2, 3)"
    assert text_key("2 PM and 3 PM") == "2 pm and 3 pm"
