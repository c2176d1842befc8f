"""What counts as an answer, and when two are the same: the one home of kinds, extraction, gold and equality.

Kinds (`agents.question.AnswerKind`): a `number` is compared by value, a `choice` by its label, `yesno` by truth,
`expression` as mathematics, `set` and `list` by their members without and with order, `code` line by line (whether it
works only running it can tell), `text` and `open` without regard to case, spacing or enclosing punctuation.

Every answer has a key, equal for equal answers and the only thing that is compared; `read` gives it together with
what was written. `markers` finds where a reply says its answer, `reading` reads it, `golds` reads gold answers and
takes no part for the whole. Two different expressions never share a key; equal ones may fail to.
"""

from __future__ import annotations

from agents.answers.golds import GoldError, gold
from agents.answers.labels import Choices
from agents.answers.markers import marked
from agents.answers.reading import WINDOW, Found, key_of, read, read_reply
from agents.answers.undress import ANSWER_LIMIT
from agents.question import AnswerKind, Question

__all__ = [
    "ANSWER_LIMIT",
    "WINDOW",
    "Found",
    "GoldError",
    "answer_span",
    "canonical",
    "equal",
    "extract",
    "gold",
    "read",
    "read_reply",
    "score",
]


def extract(text: str, question: Question) -> str | None:
    """The key of the answer that a reply gives to a question, or None where it gives none."""
    found = read(text, question)
    return None if found is None else found.key


def canonical(answer: str, kind: AnswerKind, choices: Choices | None = None) -> str | None:
    """The key of a bare answer, equal for equal answers; None where it is no answer of this kind.

    Numbers become an integer or a fraction in lowest terms ("18", "7/2"); choices their label as the question spells
    it; yes/no "yes" or "no"; text and open lower case with single spaces. A key is its own key.
    """
    return key_of(answer[:ANSWER_LIMIT], kind, choices)


def equal(a: str | None, b: str | None, kind: AnswerKind, choices: Choices | None = None) -> bool:
    """Whether two answers are the same. No answer (None, or not of this kind) equals nothing, itself included."""
    if a is None or b is None:
        return False
    left = canonical(a, kind, choices)
    return left is not None and left == canonical(b, kind, choices)


def score(answer: str | None, question: Question) -> float:
    """1.0 for one of the gold answers, else 0.0; no answer is wrong.

    A question's own scorer is asked where it has one.

    Raises:
        ValueError: the question has no gold answer, or only the name of its scorer is known.
    """
    if question.scorer:
        if question.function is None:
            raise ValueError(f"question {question.id!r} is scored by {question.scorer!r}, which is not loaded")
        return 0.0 if answer is None else question.function(question, answer)
    if question.answer is None:
        raise ValueError(f"question {question.id!r} has no gold answer to score against")
    kind: AnswerKind = "choice" if question.choices else question.kind
    return float(any(equal(answer, one, kind, question.choices) for one in question.golds))


def answer_span(text: str) -> tuple[int, int] | None:
    """(start, end) of what stands behind the last marker on a line of its own; None where there is none."""
    offset = max(0, len(text) - WINDOW)
    tail = text[offset:]
    for one in marked(tail):
        place = tail.find(one.content, one.start)
        if one.strong and place >= 0:
            return offset + place, offset + place + len(one.content)
    return None
