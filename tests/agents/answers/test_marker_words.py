"""The words that announce an answer: every one in the list of words is one that the pattern knows."""

from __future__ import annotations

import pytest

from agents.answers import marker_words

WORDS = (*marker_words.WORDS_ASCII, *marker_words.WORDS_OTHER)


@pytest.mark.parametrize("word", sorted(set(WORDS) - {"odpowied", "odpov"}))
def test_a_word_at_which_markers_look_is_one_that_the_pattern_takes(word: str) -> None:
    assert marker_words.AFTER.match(f"{word.rstrip(':：')}: 42")


def test_every_preferred_field_is_a_field() -> None:
    assert marker_words.PREFERRED < marker_words.KEYS
    assert all(key == key.casefold() and " " not in key for key in marker_words.KEYS)


@pytest.mark.parametrize(("text", "stated"), [("4 (I'm 90% sure)", True), ("4 (about 3)", False)])
def test_how_sure_one_is_is_no_part_of_the_answer(text: str, stated: bool) -> None:
    assert (marker_words.SURE.search(text) is not None) is stated
