"""A question: frozen, bounded, with all its right answers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agents.question import CHAT, Question


def test_all_right_answers_are_golds_and_none_without_one() -> None:
    assert Question(id="q", question="?", answer="a", accepted=("b",)).golds == ("a", "b")
    assert Question(id="q", question="?", accepted=("b",)).golds == ()


def test_only_an_open_turn_of_a_chat_is_chat() -> None:
    assert Question(id="q", question="?", task=CHAT).is_chat
    assert not Question(id="q", question="?").is_chat
    assert not Question(id="q", question="?", task=CHAT, kind="number").is_chat
    assert not Question(id="q", question="?", task=CHAT, choices={"A": "a"}).is_chat


@pytest.mark.parametrize("wrong", [{"id": ""}, {"question": ""}, {"kind": "essay"}, {"gold": "a"}])
def test_what_is_no_question_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate({"id": "q", "question": "?"} | wrong)
