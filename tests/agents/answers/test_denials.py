"""What is only reported, doubted or supposed answers nothing; what a reply says itself behind it does."""

import pytest

from agents import answers
from agents.answers.denials import undenied
from agents.question import Question

CITIES = {"A": "Paris", "B": "London", "C": "Rome"}


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("It is Paris.", "It is Paris."),
        ("Some say Paris.", None),
        ("Some say Paris, but that is wrong.", None),
        ("Everyone says Paris, but that's wrong.", None),
        ("Many people think it is Paris, but it is Rome.", "it is Rome"),
        ("I doubt that it is Paris.", None),
        ("You might think: A.", None),
        ("A would be correct if the treaty had been signed in France.", None),
        ("The wrong option is: A.", None),
        ("It might be true.", None),
        ("It may be true, so yes.", "It may be true, so yes."),
        ("5 would be too many.", None),
    ],
)
def test_what_a_reply_says_itself(text: str, own: str | None) -> None:
    assert undenied(text) == own


@pytest.mark.parametrize(
    ("kind", "reply", "found"),
    [
        ("choice", "Paris isn't it.", None),
        ("choice", "Some say Paris, but I say Rome.", "C"),
        ("choice", "Definitely not Paris or London.", None),
        ("choice", "Option A (Paris) is wrong, option C (Rome) is right.", "C"),
        ("choice", "If it is not London, it is Paris.", None),
        ("yesno", "There is no evidence that it's true.", None),
        ("number", "I doubt it's 5.", None),
        ("yesno", "If yes, then we continue.", None),
        ("text", "The answer is Canberra. Actually, it is Sydney.", "sydney"),
        ("text", "If it is not Sydney, it is Canberra.", "if it is not sydney it is canberra"),
    ],
)
def test_no_doubt_is_taken_for_an_answer(kind: str, reply: str, found: str | None) -> None:
    choices = CITIES if kind == "choice" else None
    asked = Question(id="q", question="What?", kind=kind, choices=choices)  # type: ignore[arg-type]
    assert answers.extract(reply, asked) == found
