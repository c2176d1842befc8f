"""How well replies are read: 97% as a person reads them, and never a wrong reply taken for right."""

from __future__ import annotations

import random
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents import answers
from agents.question import Question

replies = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "replies.py")))


def _rows() -> Iterator[tuple[dict[str, Any], str, bool]]:
    for gold, reply, right in replies.NUMBERS:
        yield {"kind": "number", "answer": gold}, reply, right
    for choices, gold, reply, right in replies.CHOICES:
        yield {"kind": "choice", "choices": choices, "answer": gold}, reply, right
    for kind, rows in (("yesno", replies.YES_NO), ("text", replies.TEXTS), ("expression", replies.EXPRESSIONS)):
        for gold, reply, right in rows:
            yield {"kind": kind, "answer": gold}, reply, right
    for kind, gold, reply, right in replies.LISTS:
        yield {"kind": kind, "answer": gold}, reply, right


ROWS = list(_rows())
MISSED: frozenset[str] = frozenset()
"""Right replies that are not read: each a known limit."""


@pytest.mark.parametrize(("question", "reply", "right"), ROWS, ids=[f"{n}" for n in range(len(ROWS))])
def test_a_reply_is_read_as_a_person_reads_it(question: dict[str, Any], reply: str, right: bool) -> None:
    asked = Question(id="q", question="What?", **question)
    found = answers.extract(reply, asked)
    taken = answers.score(found, asked) == 1.0
    assert not (taken and not right), f"taken for right: {reply!r} gives {found!r}, gold {question['answer']!r}"
    if reply not in MISSED:
        assert taken == right, f"{reply!r} gives {found!r}, gold {question['answer']!r}"


def test_there_are_enough_replies_and_few_are_missed() -> None:
    assert len(ROWS) > 300
    assert len(MISSED) <= 0.03 * len(ROWS)


@pytest.mark.parametrize("row", range(0, len(ROWS), 7))
def test_every_gold_answer_is_one(row: int) -> None:
    question, _, _ = ROWS[row]
    key = answers.gold(question["answer"], question["kind"], question.get("choices"))
    assert answers.canonical(key, question["kind"], question.get("choices")) == key


@pytest.mark.parametrize("kind", ["number", "choice", "yesno", "expression", "set", "list", "text", "code", "open"])
def test_random_texts_give_none_or_a_key_that_is_its_own_key(kind: Any) -> None:
    rng = random.Random(7)
    signs = "abc ABC123,.:;()[]{}<>\\$%^_-+=/|\n\t\"'*#é答案½²Answer: answer is boxed think"
    choices = {"A": "red", "B": "12"} if kind == "choice" else None
    question = Question(id="q", question="What?", kind=kind, choices=choices)
    for _ in range(1_000):
        found = answers.extract("".join(rng.choice(signs) for _ in range(rng.randint(0, 200))), question)
        assert found is None or answers.canonical(found, kind, choices) == found


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("3+2=<<3+2=5>>5\n#### 5", "number", "5"),
        ("\\frac{1}{2}", "number", "1/2"),
        ("$1,234.50", "number", "2469/2"),
        ("2\\sqrt{3}", "number", "3.464101615…"),
        ("True", "yesno", "yes"),
        ("(3,4)", "expression", "(3, 4)"),
        ("\\text{odd}", "expression", "odd"),
    ],
)
def test_gold_answers(text: str, kind: Any, key: str) -> None:
    assert answers.gold(text, kind) == key


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3+2=<<3+2=5>>5", "number"),
        ("3+2=5", "number"),
        ("5 or 6", "number"),
        ("7 (see note)", "number"),
        ("Room 2 has 5 chairs", "number"),
        ("maybe", "yesno"),
        ("yes or no", "yesno"),
        ("x +", "expression"),
        (" ", "text"),
    ],
)
def test_gold_that_is_not_wholly_an_answer_is_refused(text: str, kind: Any) -> None:
    with pytest.raises(answers.GoldError, match=r"blank|is not wholly"):
        answers.gold(text, kind)


def test_gold_of_a_choice_is_a_label_or_one_options_text() -> None:
    choices = {"A": "red", "B": "blue"}
    assert [answers.gold(one, "choice", choices) for one in ("B", "(b)", "blue", "B. blue")] == ["B"] * 4
    for wrong in ("C", "A or B", "B red", "bluish"):
        with pytest.raises(answers.GoldError, match="none of the options"):
            answers.gold(wrong, "choice", choices)


def test_several_answers_may_be_right() -> None:
    question = Question(id="q", question="Who?", kind="text", answer="USA", accepted=("United States",))
    assert [answers.score(one, question) for one in ("usa", "the United States", "UK")] == [1.0, 1.0, 0.0]


def test_what_was_written_is_kept_beside_the_key() -> None:
    question = Question(id="q", question="What?", kind="text")
    found = answers.read("Answer: The Eiffel Tower.", question)
    assert found == answers.Found("eiffel tower", "The Eiffel Tower")
