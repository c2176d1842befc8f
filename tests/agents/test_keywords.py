"""Keywords: only what several runs agree on is believed."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.keywords import LONGEST, STRUCTURE, agreed
from agents.prompts import keywords
from agents.question import Question
from agents.reply import parse_keywords


def test_words_of_two_runs_stay_most_often_named_first() -> None:
    runs = [("algebra", "sums"), ("sums",), ("geometry", "sums"), ("algebra",), ()]
    assert agreed(runs) == ("sums", "algebra")
    assert agreed(runs, min_runs=3) == ("sums",)
    assert agreed(runs, min_runs=1) == ("sums", "algebra", "geometry")


def test_a_word_said_twice_in_one_run_is_said_once() -> None:
    assert agreed([("algebra", "algebra"), ()]) == ()


def test_sentences_are_no_keywords() -> None:
    sentence = "a" * (LONGEST + 1)
    assert agreed([(sentence,)] * 5) == ()


@given(st.lists(st.lists(st.text(max_size=30), max_size=6), max_size=6), st.integers(1, 4))
def test_every_keyword_was_named_often_enough(runs: list[list[str]], least: int) -> None:
    for word in agreed(runs, least):
        assert sum(word in run for run in runs) >= least


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Keywords: algebra, word sorting", True),
        ("Keywords: جبر, 数学, sums 😀", True),
        ("Keywords: a, b", False),
        ("Keywords: one, two, three, four, five, six", False),
        ("I think that it needs algebra.", False),
    ],
)
def test_the_structure_is_what_the_prompt_asks_for_and_the_parser_reads(line: str, kept: bool) -> None:
    assert bool(re.fullmatch(json.loads(STRUCTURE)["regex"], line)) == kept
    if kept:
        assert len(parse_keywords(line)) == line.count(",") + 1
    asked = keywords(Question(id="q", question="What is 2 + 2?"))[-1]["content"]
    assert "Keywords: <" in asked
