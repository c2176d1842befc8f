"""Texts: equal whatever their case, spacing and quotes."""

from agents import answers


def test_text_without_case_spacing_and_quotes() -> None:
    assert answers.equal(' "Pear   FIG". ', "pear fig", "text")
    assert not answers.equal("pear", "fig", "text")
    assert answers.canonical("...", "text") == "..."
    assert answers.canonical("  ", "open") is None
