"""Lessons at each level, pairs, and what is dropped by which rule; streaming from disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.prompts import solve
from agents.transcript import Transcript
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson, zipped

Discuss = Callable[..., Transcript]


def learnt(transcript: Transcript, **selection: Any) -> Lesson:
    found = lesson(interaction_graph(transcript), Selection.model_validate(selection))
    assert isinstance(found, Lesson), found
    return found


FIRST = "3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9"
WRONG = "3 + 4 = 7.\nAnswer: 7\nConfidence: 0.4"
LATER = "Threes: 3, 6, 9, 12.\nAnswer: 12\nConfidence: 0.8"


def test_each_level_adds_structure(discuss: Discuss) -> None:
    one = discuss()
    assert learnt(one, level="gold").texts == ("Answer: 12",)
    assert learnt(one, level="L1").texts == (FIRST,)
    second = learnt(one, level="L2")
    assert (second.texts, second.taught, second.pairs, second.nodes) == ((FIRST, LATER), (0, 1), (), ())
    third = learnt(one, level="L3")
    assert (third.texts, third.taught) == ((FIRST, LATER, WRONG), (0, 1))
    assert third.pairs == ((0, 2), (1, 2))
    assert third.edges == ()
    fourth = learnt(one, level="L4")
    assert [fourth.texts[place] for place in fourth.nodes] == [FIRST, FIRST, LATER, WRONG]
    assert fourth.labels == (True, True, True, False)
    assert sorted(fourth.edges) == [(0, 1), (0, 2), (3, 1), (3, 2)]
    assert fourth.messages == solve(one.question)


def test_answers_alone_are_no_chains_of_thought_unless_asked_for(discuss: Discuss) -> None:
    one = discuss(0, [["Threes.\nAnswer: 12", "Answer: 9"], ["Answer: 12", "Sums.\nAnswer: 7"]])
    strict = learnt(one, level="L4")
    assert strict.texts == ("Threes.\nAnswer: 12", "Sums.\nAnswer: 7")
    assert (strict.taught, strict.pairs, strict.labels) == ((0,), ((0, 1),), (True, False))
    loose = learnt(one, level="L4", bare_answers=True)
    assert set(loose.texts) == {"Threes.\nAnswer: 12", "Answer: 12", "Answer: 9", "Sums.\nAnswer: 7"}
    assert len(loose.taught) == 2


def test_a_single_teacher_teaches_alone(discuss: Discuss) -> None:
    assert learnt(discuss(), level="L2", teacher="agent1").texts == (LATER,)
    assert lesson(interaction_graph(discuss()), Selection(level="L1", teacher="agent1")) == (
        "no right reply with a reasoning"
    )


@given(st.lists(st.integers(0, 9), unique=True, max_size=6), st.lists(st.integers(10, 19), unique=True, max_size=6))
def test_pairs_zip_and_cycle(right: list[int], wrong: list[int]) -> None:
    pairs = zipped(right, wrong)
    assert len(pairs) == (max(len(right), len(wrong)) if right and wrong else 0)
    assert {a for a, _ in pairs} == (set(right) if pairs else set())
    assert {b for _, b in pairs} == (set(wrong) if pairs else set())


def test_replies_beyond_the_limit_of_one_question_are_left_out_right_ones_last(discuss: Discuss) -> None:
    said = [["a " * 30 + "\nAnswer: 9", "b " * 30 + "\nAnswer: 12"]]
    rules: list[str] = []
    found = lesson(
        interaction_graph(discuss(0, said)),
        Selection(level="L4", longest_question=80),
        lambda text: len(text.split()),
        rules.append,
    )
    assert isinstance(found, Lesson)
    assert found.labels == (True,)
    assert rules == ["a reply beyond the limit for one question"]
