"""How well replies are read: 97% as a person reads them, and never a wrong reply taken for right."""

from __future__ import annotations

import random
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import answers
from agents.question import Question
from agents.reply import parse_reply
from tests.scripts.repeats import REPEATED

more = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "more_replies.py")))
mended = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "mended_replies.py")))
prose = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "prose_replies.py")))
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
KINDS = ["number", "choice", "yesno", "expression", "set", "list", "text", "code", "open"]
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


@pytest.mark.parametrize("kind", ["number", "choice", "yesno", "text", "open", "expression", "set", "list"])
def test_what_a_person_reads_is_read_and_nothing_else(kind: Any) -> None:
    rows = getattr(more, kind.upper(), [])
    assert len(rows) >= (1 if kind == "open" else 7)
    for row in rows:
        choices = row[0] if kind == "choice" else None
        want, reply = row[-2:]
        asked = Question(id="q", question="What?", kind=kind, choices=choices)
        key = None if want is None else answers.canonical(want, kind, choices)
        assert want is None or key is not None, want
        assert answers.extract(reply, asked) == key, reply


def test_whole_sentences_are_read_as_a_person_reads_them() -> None:
    for kind, choices, want, reply, asked in prose.REPLIES:
        key = None if want is None else answers.canonical(want, kind, choices)
        assert want is None or key is not None, want
        assert answers.extract(reply, Question(id="q", question=asked, kind=kind, choices=choices)) == key, reply


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_mended_stays_mended(kind: Any) -> None:
    for of, choices, want, reply in mended.REPLIES:
        if of == kind:
            key = None if want is None else answers.canonical(want, kind, choices)
            assert answers.extract(reply, Question(id="q", question="What?", kind=kind, choices=choices)) == key, reply


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


@pytest.mark.parametrize("kind", ["number", "choice", "expression", "text", "code"])
def test_a_hundred_thousand_characters_of_one_thing_take_no_longer_than_their_length_allows(kind: Any) -> None:
    choices = {"A": "red", "B": "12"} if kind == "choice" else None
    asked = Question(id="q", question="What?", kind=kind, choices=choices)
    began = time.thread_time()
    for one in REPEATED:
        parse_reply((one * 100_000)[:100_000], asked)
    # A pattern that is not linear takes minutes here, all of them together less than three seconds.
    assert time.thread_time() - began < 60


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(REPEATED)), max_size=30), st.sampled_from(KINDS))
def test_no_text_raises_and_what_is_read_is_a_key(parts: list[str], kind: Any) -> None:
    asked = Question(id="q", question="What?", kind=kind, choices={"A": "red", "B": "12"} if kind == "choice" else None)
    reply = parse_reply("".join(parts), asked)
    assert reply.answer is None or answers.canonical(reply.answer, kind, asked.choices) == reply.answer


@pytest.mark.parametrize(
    ("written", "number", "mathematics"),
    [
        ("1,234", "1234", "1234"),
        ("1 234", "1234", "1234"),
        ("1'234", "1234", "1234"),
        ("1.234.567", "1234567", "1234567"),
        ("1,00,000", "100000", None),
        ("1.234,5", "2469/2", None),
        ("3,5", "7/2", "{3, 5}"),
        ("1.234", "617/500", "617/500"),
        ("50%", "50", "50"),
        ("€5", "5", "5"),
        ("5 km", "5", "5"),
        ("3k", "3000", "3*k"),
        ("2a", None, "2*a"),
    ],
)
def test_the_rule_of_numbers_that_the_page_states(written: str, number: str | None, mathematics: str | None) -> None:
    if number is not None:
        assert answers.canonical(written, "number") == number
    if mathematics is not None:
        assert answers.canonical(written, "expression") == mathematics


def test_a_point_before_three_digits_follows_the_language_of_the_reply() -> None:
    asked = Question(id="q", question="What?", kind="number")
    assert answers.extract("Antwort: 1.500", asked) == "1500"
    assert answers.extract("2.5 + 1498.5 = 1500.0 m\nAntwort: 1.500", asked) == "3/2"
    assert answers.extract("Answer: 1.500", asked) == "3/2"
    assert answers.canonical("10", "choice", {"A": "10%", "B": "20%"}) == "A"
    assert answers.canonical("10", "choice", {"A": "10%", "B": "10"}) == "B"


def test_several_answers_may_be_right() -> None:
    question = Question(id="q", question="Who?", kind="text", answer="USA", accepted=("United States",))
    assert [answers.score(one, question) for one in ("usa", "the United States", "UK")] == [1.0, 1.0, 0.0]


def test_what_was_written_is_kept_beside_the_key() -> None:
    question = Question(id="q", question="What?", kind="text")
    found = answers.read("Answer: The Eiffel Tower.", question)
    assert found == answers.Found("eiffel tower", "The Eiffel Tower")


CHOICES = {"A": "red", "B": "blue ball", "C": "a red ball"}


def number(text: str = "How many?") -> Question:
    return Question(id="n", question=text, kind="number", answer="18")


def choice() -> Question:
    return Question(id="c", question="Which?", kind="choice", choices=CHOICES, answer="B")


def yesno() -> Question:
    return Question(id="y", question="Is it?", kind="yesno", answer="yes")


def text() -> Question:
    return Question(id="t", question="What?", kind="text", answer="pear fig")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("9 * 2 = 18.\nAnswer: 18\nConfidence: 0.9", "18"),
        ("Answer: 17. No wait.\nAnswer: 18", "18"),
        ("**Answer:** $18.00", "18"),
        ("The final answer is 18 apples.", "18"),
        ("So we get \\boxed{18}", "18"),
        ("9 and 9 make 18", "18"),
        ("Answer: none at all", None),
        ("I cannot tell", None),
        ("", None),
    ],
)
def test_a_number_is_found_in_a_reply(reply: str, found: str | None) -> None:
    assert answers.extract(reply, number()) == found


def test_the_confidence_is_not_taken_for_the_answer() -> None:
    assert answers.extract("So 18.\nAnswer: 18\nConfidence: 0.9", number()) == "18"
    assert answers.extract("Yes, 18.\nConfidence: 0.9", number()) == "18"


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("Answer: (B)", "B"),
        ("Answer: blue ball", "B"),
        ("It must be (B), since (A) is wrong... (B)", "B"),
        ("I think\nB", "B"),
        ("Answer: D", None),
    ],
)
def test_a_choice_is_found_in_a_reply(reply: str, found: str | None) -> None:
    assert answers.extract(reply, choice()) == found


def test_yes_no_and_text_are_found_in_a_reply() -> None:
    assert answers.extract("Answer: No, it is not", yesno()) == "no"
    assert answers.extract("yes or no? I say no.", yesno()) == "no"
    assert answers.extract("First p, then f.\nAnswer: Pear fig.\nConfidence: 1", text()) == "pear fig"
    assert answers.extract("Pear fig", text()) == "pear fig"
    assert answers.extract("x" * 500, text()) is None


@given(st.text())
def test_any_reply_to_any_question_yields_none_or_a_canonical_answer(reply: str) -> None:
    for question in (number(), choice(), yesno(), text()):
        found = answers.extract(reply, question)
        assert found is None or found == answers.canonical(found, question.kind, question.choices)


@pytest.mark.parametrize(
    "piece",
    [
        "Answer: ",
        "1",
        "1,",
        "1,111",
        "((((",
        "answer is ",
        "9 ",
        "/",
        "\\boxed{",
        "yes ",
        "\n",
        "a ",
        "-",
        "1e9",
        " ",
        "Answer:*",
    ],
)
def test_fifty_megabytes_of_anything_are_read_at_once(piece: str) -> None:
    reply = piece * (50_000_000 // len(piece))
    started = time.thread_time()
    for question in (number(), choice(), yesno(), text()):
        answers.extract(reply, question)
    assert time.thread_time() - started < 4.0
