"""What a reply without a marker concludes."""

from __future__ import annotations

import pytest

from agents.answers import conclusions

COLOURS = {"A": "red", "B": "blue", "C": "green"}
PARTS = {"A": "1/2", "B": "1/3", "C": "2/3", "D": "3/4"}
BIRDS = {"A": "heron", "B": "stork", "C": "crane", "D": "egret"}
LONG = "We go through what is known of each. " * 8


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


def test_a_text_that_ends_within_a_formula_was_cut_off() -> None:
    assert conclusions.cut_off("So: \\begin{align*}\nC &= 12")
    assert not conclusions.cut_off("So: \\begin{align*}\nC &= 12\n\\end{align*}")


def test_a_long_text_without_its_end_was_cut_off() -> None:
    text = "The sky is blue because of how the air scatters light of short waves. " * 6
    assert not conclusions.cut_off(text)
    assert conclusions.cut_off(text + "And grass is green because the leaves of all the plants that")


@pytest.mark.parametrize(
    ("text", "choices", "label"),
    [
        ("The share is $\\frac{4}{6} = \\frac{2}{3}$.", PARTS, "C"),
        ("The share is 0.7.", PARTS, None),
        ("- A: too small\n- B: too large\n\n### Conclusion\nC", BIRDS, "C"),
        ("A. heron\nB. stork\nC. crane\nD. egret", BIRDS, None),
        (LONG + "Therefore, the bird is the stork.", BIRDS, "B"),
        (LONG + "The stork is large.", BIRDS, None),
        (LONG + "So the share is $\\frac{2}{3}$.", PARTS, "C"),
        (LONG + "So the share is $\\frac{2}{3} \\cdot", PARTS, None),
    ],
)
def test_an_option_is_concluded_by_value_or_words_only_at_the_end(
    text: str, choices: dict[str, str], label: str | None
) -> None:
    assert conclusions.choice(text, choices) == label


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("不是。鲸鱼是哺乳动物。", "no"),
        ("是的，鲸鱼是哺乳动物。", "yes"),
        ("鲸鱼是哺乳动物。", None),
        ("No. It is a fish.", "no"),
    ],
)
def test_the_first_word_answers_in_any_language(text: str, word: str | None) -> None:
    assert conclusions.word(text) == word
