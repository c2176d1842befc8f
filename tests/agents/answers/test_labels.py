"""Labels of options: found whatever the script, and never the English words "a" and "I"."""

from __future__ import annotations

import pytest

from agents.answers.labels import is_word, label_of, prepared

COLOURS = prepared((("A", "red"), ("B", "blue"), ("I", "none")))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("option B", "B"),
        ("(b)", "B"),
        ("选择B。", "B"),
        ("B's", None),
        ("AB", None),
        ("blue", None),
        ("A red ball", None),
    ],
)
def test_a_label_stands_by_itself(text: str, label: str | None) -> None:
    match = COLOURS.mention.search(text)
    found = None if match is None or is_word(match, text) else label_of(match, COLOURS)
    assert found == label


def test_words_that_two_options_share_name_neither() -> None:
    assert "12" not in prepared((("A", "$12"), ("B", "12%"))).by_text
    assert prepared((("A", "Red."), ("B", "blue"))).by_text["red"] == "A"
