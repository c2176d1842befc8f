import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.question import Question
from agents.reply import parse_confidence, parse_keywords, parse_reply

QUESTION = Question(id="1", question="How many?", kind="number")


def test_a_well_formed_reply() -> None:
    reply = parse_reply("3 * 4 = 12.\nAnswer: 12\nConfidence: 0.9", QUESTION)
    assert (reply.reasoning, reply.answer, reply.confidence) == ("3 * 4 = 12.", "12", 0.9)
    assert not reply.abstains


def test_a_reply_without_answer_abstains() -> None:
    reply = parse_reply("I do not know.", QUESTION)
    assert reply.abstains
    assert reply.confidence is None
    assert reply.reasoning == "I do not know."


@pytest.mark.parametrize(
    ("stated", "value"),
    [
        ("0.9", 0.9),
        (".9", 0.9),
        ("90%", 0.9),
        ("90 %", 0.9),
        ("90", 0.9),
        ("9/10", 0.9),
        ("90/100", 0.9),
        ("1", 1.0),
        ("1.0", 1.0),
        ("1%", 0.01),
        ("0", 0.0),
        ("250%", 1.0),
        ("9000", 1.0),
        ("5/0", 0.0),
        ("**0.9**", 0.9),
    ],
)
def test_confidence_is_brought_between_0_and_1(stated: str, value: float) -> None:
    assert parse_confidence(f"Answer: 3\nConfidence: {stated}") == pytest.approx(value)


def test_the_last_confidence_counts() -> None:
    assert parse_confidence("Confidence: 0.2\nConfidence level: 80%") == pytest.approx(0.8)
    assert parse_confidence("I am full of confidence.") is None


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    reply = parse_reply(text, QUESTION)
    assert reply.confidence is None or 0 <= reply.confidence <= 1
    assert all(keyword == keyword.strip().lower() for keyword in parse_keywords(text))


@pytest.mark.parametrize("piece", ["Confidence: ", "confidence is 9", "Keywords: a,", "Answer ", "> > "])
def test_fifty_megabytes_are_read_at_once(piece: str) -> None:
    text = piece * (50_000_000 // len(piece))
    started = time.process_time()
    parse_reply(text, QUESTION)
    parse_keywords(text)
    assert time.process_time() - started < 2.0


def test_keywords() -> None:
    assert parse_keywords("Sure!\nKeywords: Arithmetic, word  problem, arithmetic.\nMore") == (
        "arithmetic",
        "word problem",
    )
    assert parse_keywords("**Keywords**: a; b") == ("a", "b")
    assert parse_keywords("none") == ()
    assert len(parse_keywords("Keywords: " + ",".join(map(str, range(100))))) == 8


@pytest.mark.parametrize(
    ("text", "answer", "confidence", "reasoning"),
    [
        ('{"reasoning": "Sum.", "answer": "12", "confidence": 0.9}', "12", 0.9, "Sum."),
        ('```json\n{"answer": 12, "confidence_level": "90%", "explanation": "Sum."}\n```', "12", 0.9, "Sum."),
        ('Here: {"answer": "It is 12.", "confidence": 7}', "12", 0.07, ""),
        ('{"answer": null, "confidence": NaN}', None, None, ""),
        ('{"answer": {"answer": 12}}', None, None, ""),
        ('{"answer": "12", "confidence": ', "12", None, '{"answer": "12", "confidence":'),
    ],
)
def test_a_reply_may_be_json(text: str, answer: str | None, confidence: float | None, reasoning: str) -> None:
    reply = parse_reply(text, QUESTION)
    assert (reply.answer, reply.confidence, reply.reasoning) == (answer, confidence, reasoning)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["answer", "confidence", "reasoning", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_json_says_it_is_read_or_abstains(value: object) -> None:
    for text in (json.dumps(value), "```json\n" + json.dumps({"answer": value, "confidence": value})[:-1]):
        reply = parse_reply(text, QUESTION)
        assert reply.confidence is None or 0 <= reply.confidence <= 1
        assert reply.answer is None or reply.answer


@pytest.mark.parametrize(
    ("kind", "text", "whole", "cut"),
    [
        ("number", "Answer: 8\nConfidence: 0.9. For in", "8", "8"),
        ("number", "65 km = 650000", "650000", None),
        ("number", "4", "4", None),
        ("text", "A tall clock", "tall clock", None),
        ("yesno", "Yes, it is true of every one of them.", "yes", None),
        ("yesno", "Yes", "yes", "yes"),
        ("number", "So the first step gives 12. Next, 12 * 4 =", None, None),
        ("number", "First 5 apples, so 5 + 3 = 8, and then we", None, None),
        ("yesno", "True and True = True. True and", None, None),
    ],
)
def test_a_reply_that_was_cut_answers_only_what_it_marked(
    kind: str, text: str, whole: str | None, cut: str | None
) -> None:
    question = Question(id="1", question="What?", kind=kind)  # type: ignore[arg-type]
    assert parse_reply(text, question).answer == whole
    assert parse_reply(text, question, cut=True).answer == cut


def test_one_token_is_an_option() -> None:
    question = Question(id="1", question="Which?", kind="choice", choices={"A": "red", "B": "blue"})
    assert parse_reply("B", question, cut=True).answer == "B"
    assert parse_reply("Red is warm and blue is cold, so option B", question, cut=True).answer is None
