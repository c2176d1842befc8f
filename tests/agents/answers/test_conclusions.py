"""What a reply without a marker concludes."""

from __future__ import annotations

import pytest

from agents.answers import conclusions

COLOURS = {"A": "red", "B": "blue", "C": "green"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Red is warm. Green is mixed. That leaves blue.", "B"),
        ("Roses are red. Grass is green. So it is blue.", "B"),
        ("Roses are red. Grass is green. The sky is blue at noon.", None),
        ("It is C, since grass is green and A is for roses.", "C"),
        ("A: no\nB: no\nC: yes", "C"),
        ("A: no\nB: yes\nC: yes", None),
    ],
)
def test_the_option_that_is_left_or_called_right(text: str, label: str | None) -> None:
    assert conclusions.choice(text, COLOURS) == label


def test_the_first_word_counts_unless_a_later_sentence_concludes_otherwise() -> None:
    assert conclusions.word("Yes. It is not far.") == "yes"
    assert conclusions.word("It is false that it is far. So the answer is no.") == "no"


def test_a_long_text_without_its_end_was_cut_off() -> None:
    text = "The sky is blue because of how the air scatters light of short waves. " * 6
    assert not conclusions.cut_off(text)
    assert conclusions.cut_off(text + "And grass is green because the leaves of all the plants that")
