import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import answers
from agents.question import Question

CHOICES = {"A": "red", "B": "blue ball", "C": "a red ball"}


def number(text: str = "How many?") -> Question:
    return Question(id="n", question=text, kind="number", answer="18")


def test_no_answer_equals_nothing_not_even_itself() -> None:
    assert not answers.equal(None, None, "number")
    assert not answers.equal("none", "none", "number")


def test_scores() -> None:
    assert answers.score("18.0", number()) == 1.0
    assert answers.score("17", number()) == 0.0
    assert answers.score(None, number()) == 0.0
    with pytest.raises(ValueError, match="'open-1' has no gold answer"):
        answers.score("x", Question(id="open-1", question="Why?"))


@given(st.text(), st.sampled_from(["number", "choice", "yesno", "text", "open"]))
def test_canonical_is_stable(answer: str, kind: str) -> None:
    choices = CHOICES if kind == "choice" else None
    once = answers.canonical(answer, kind, choices)
    assert once is None or answers.canonical(once, kind, choices) == once
