"""What a reply takes back is not its answer."""

from __future__ import annotations

from typing import Any

import pytest

from agents import answers
from agents.answers.corrections import corrected, taken_back, withdrawn
from agents.question import Question


@pytest.mark.parametrize(
    ("kind", "reply", "key"),
    [
        ("number", "Answer: 14... no, 17", "17"),
        ("number", "Answer: 14. Oops, I meant 17.", "17"),
        ("number", "Answer: 14\n\nWait, I forgot the last group. The total is 17.", "17"),
        ("number", "Answer: 14\n\nHold on, that is wrong.", None),
        ("number", "Answer: 14. Sorry for the long text.", "14"),
        ("number", "Answer: 14\n\nLet me verify: 10 + 4 = 14. Correct.", "14"),
        ("yesno", "Answer: yes. No, wait: no.", "no"),
        ("text", "Answer: Rome. No, Milan.", "milan"),
        ("text", "Answer: Rome, actually the capital of Italy", "rome actually the capital of italy"),
    ],
)
def test_the_last_word_counts(kind: Any, reply: str, key: str | None) -> None:
    assert answers.extract(reply, Question(id="q", question="What?", kind=kind)) == key


def test_a_correction_needs_an_answer_before_it_and_words_behind() -> None:
    assert corrected("14... no, 17") == "17"
    assert corrected("no, 17") is None
    assert corrected("14, no") is None
    assert corrected("yes, no", no_counts=False) is None
    assert taken_back("14\n\nWait, it is 17.", 2) == ", it is 17."
    assert taken_back("14\n\nThey wait for 17 buses.", 2) is None
    assert withdrawn("that is wrong")
    assert not withdrawn("for the long text")
