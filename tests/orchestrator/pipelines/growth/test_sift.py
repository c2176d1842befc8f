"""Duplicates and leaks stay out of a training set, and what differs in names alone is counted."""

from __future__ import annotations

from agents.question import Question
from orchestrator.pipelines.growth.sift import sift
from orchestrator.pipelines.growth.worked import Worked

LONG = "A farmer with twelve brown cows sold three of them to a neighbour who lives beyond the old mill near the river"


def worked(text: str, **more: dict[str, str]) -> Worked:
    return Worked(Question(id=text[:40], question=text, answer="1", **more), "", "1", "source")  # type: ignore[arg-type]


def held(text: str) -> Question:
    return Question(id="held", question=text, answer="1")


def test_the_same_question_is_kept_once_however_it_is_punctuated() -> None:
    found = sift([worked("How many cows?"), worked("how many   COWS"), worked("How many pigs?")], [])
    assert [one.question.question for one in found.kept] == ["How many cows?", "How many pigs?"]
    assert found.duplicates == 1


def test_other_options_are_another_question() -> None:
    one, other = (worked("Which?", choices={"A": text, "B": "x"}) for text in ("red", "blue"))
    assert len(sift([one, other], []).kept) == 2


def test_what_stands_in_the_held_out_questions_is_left_out() -> None:
    found = sift([worked("How many cows?"), worked("How many pigs?")], [held("How many pigs")])
    assert [one.question.question for one in found.kept] == ["How many cows?"]
    assert found.leaks == 1


def test_most_runs_of_words_of_a_held_out_question_are_a_leak_too() -> None:
    around = worked(f"Please read this. {LONG}. How many are left?")
    other = worked(LONG.replace("twelve", "nine").replace("three", "two").replace("old mill", "new bridge"))
    found = sift([around, other], [held(f"{LONG}?")])
    assert [one.question.question for one in found.kept] == [other.question.question]
    assert found.leaks == 1


def test_held_out_questions_that_differ_in_names_and_numbers_alone_are_counted() -> None:
    found = sift([worked("Ann has 3 apples.")], [held("Bob has 17 apples."), held("Bob ate 17 apples.")])
    assert len(found.kept) == 1
    assert found.alike == 1
