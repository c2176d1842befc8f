"""What counts as an answer, and when two are the same: the one home of extraction and equality.

Five kinds. A `number` is compared by value, a `choice` by its letter, `yesno` by truth, `text` and `open` without
regard to case, spacing or enclosing punctuation. All functions take time linear in their input and look at no more
than the first and last `WINDOW` characters of a reply, so that no reply, however long or hostile, can stall them.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from fractions import Fraction

from agents.question import AnswerKind, Question

Choices = Mapping[str, str]

WINDOW = 50_000
ANSWER_LIMIT = 1_000
"""Characters of an answer that are looked at."""

_ANSWER_LINE = re.compile(
    r"(?:final |correct )?answer(?: is)?[ \t*_]{0,8}[:=][ \t*_]{0,8}([^\n]{0,1000})", re.IGNORECASE
)
_ANSWER_PROSE = re.compile(r"\banswer(?: is|:)[ \t*_]{0,8}([^\n]{1,1000})", re.IGNORECASE)
_CONFIDENCE_LINE = re.compile(r"^[ \t*_]{0,8}confidence\b[^\n]*", re.IGNORECASE | re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,200})\}")
_DIGITS = r"\d{1,3}(?:,\d{3}){1,20}(?!\d)|\d{1,400}"
_NUMBER = re.compile(
    rf"(?P<sign>[-+−]?)[ \t]?[$€£]?[ \t]?(?P<whole>{_DIGITS})?(?P<part>\.\d{{1,400}})?"
    rf"(?:[eE](?P<exponent>[-+]?\d{{1,3}})(?![\w]))?(?:[ \t]?/[ \t]?(?P<under>\d{{1,100}}))?(?P<percent>[ \t]?%)?"
)
_MIXED = re.compile(r"(?P<sign>[-+−]?)(?P<whole>\d{1,100})[ \t]+(?P<over>\d{1,100})[ \t]?/[ \t]?(?P<under>\d{1,100})")
_LETTER = re.compile(
    r"[\s(\[*_\"']{0,8}(?:option |choice )?[(\[*_\"']{0,4}([A-Za-z0-9])(?![A-Za-z0-9'’])", re.IGNORECASE
)
_BRACKETED = re.compile(r"\(([A-Za-z0-9])\)|\b([A-Z])[).:](?=\s|$)")
_YES_NO = re.compile(r"\b(yes|true|no|false)\b", re.IGNORECASE)
_YES, _NO = frozenset({"yes", "true", "y", "correct"}), frozenset({"no", "false", "n", "incorrect"})
_EDGES = string.whitespace + string.punctuation.replace("-", "").replace("+", "") + "“”‘’«»…"


def extract(text: str, question: Question) -> str | None:
    """The canonical answer that a reply gives to a question, or None where it gives none.

    Taken from the last `Answer: ...` line that can be read as the question's kind; else from `\\boxed{}` or "the
    answer is"; else, by kind, from the last number, the last bracketed option, or the last yes or no. A text or open
    answer without any marker is the reply's last line, if that is short.
    """
    kind: AnswerKind = "choice" if question.choices else question.kind
    ends = text if len(text) <= 2 * WINDOW else text[:WINDOW] + "\n" + text[-WINDOW:]
    marked = [match.group(1) for match in _ANSWER_LINE.finditer(ends)]
    marked = marked or [match.group(1) for match in _BOXED.finditer(ends)]
    marked = marked or [match.group(1) for match in _ANSWER_PROSE.finditer(ends)]
    for candidate in reversed(marked[-50:]):
        found = canonical(candidate, kind, question.choices)
        if found is not None:
            return found
    if marked:
        return None
    return _fallback(_CONFIDENCE_LINE.sub("", ends[-WINDOW:]).strip(), kind, question.choices)


def answer_span(text: str) -> tuple[int, int] | None:
    """(start, end) of what stands on the last `Answer: ...` line; None where there is none."""
    offset = max(0, len(text) - WINDOW)
    spans = [match.span(1) for match in _ANSWER_LINE.finditer(text, offset)]
    return spans[-1] if spans else None


def canonical(answer: str, kind: AnswerKind, choices: Choices | None = None) -> str | None:
    """The one spelling of an answer, equal for equal answers; None where it is no answer of this kind.

    Numbers become an integer or a fraction in lowest terms ("18", "7/2"); choices their letter as the question
    spells it; yes/no "yes" or "no"; text and open lower case with single spaces.
    """
    answer = unicodedata.normalize("NFKC", answer[:ANSWER_LIMIT])
    if kind == "number":
        return _number(answer)
    if kind == "choice":
        return _choice(answer, choices or {})
    if kind == "yesno":
        found = _YES_NO.search(answer)
        word = found.group(1).lower() if found else answer.strip(_EDGES).lower()
        return "yes" if word in _YES else "no" if word in _NO else None
    return _plain(answer) or None


def equal(a: str | None, b: str | None, kind: AnswerKind, choices: Choices | None = None) -> bool:
    """Whether two answers are the same. No answer (None, or not of this kind) equals nothing, itself included."""
    if a is None or b is None:
        return False
    left = canonical(a, kind, choices)
    return left is not None and left == canonical(b, kind, choices)


def score(answer: str | None, question: Question) -> float:
    """1.0 for the gold answer, else 0.0; no answer is wrong.

    Raises:
        ValueError: the question has no gold answer.
    """
    if question.answer is None:
        raise ValueError(f"question {question.id!r} has no gold answer to score against")
    kind: AnswerKind = "choice" if question.choices else question.kind
    return float(equal(answer, question.answer, kind, question.choices))


def _number(text: str) -> str | None:
    text = text.replace("\\", " ")
    mixed = _MIXED.search(text)
    for match in _NUMBER.finditer(text):
        if mixed and mixed.start() <= match.start("whole") < mixed.end() and int(mixed["under"]):
            value = int(mixed["whole"]) + Fraction(int(mixed["over"]), int(mixed["under"]))
            return _written(-value if mixed["sign"] in ("-", "−") else value)
        if match["whole"] is None and match["part"] is None:
            continue
        value = Fraction((match["whole"] or "0").replace(",", "") + (match["part"] or ""))
        value *= Fraction(10) ** int(match["exponent"] or 0)
        if match["under"]:
            if not int(match["under"]):
                continue
            value /= int(match["under"])
        return _written(-value if match["sign"] in ("-", "−") else value)
    return None


def _written(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def _choice(answer: str, choices: Choices) -> str | None:
    by_letter = {letter.casefold(): letter for letter in choices}
    bare = answer.strip(_EDGES).casefold()
    if bare in by_letter:
        return by_letter[bare]
    texts = {_plain(text): letter for letter, text in reversed(list(choices.items()))}
    plain = _plain(answer)
    if plain in texts:
        return texts[plain]
    match = _LETTER.match(answer)
    if match and match.group(1).casefold() in by_letter and not _is_word(match, answer):
        return by_letter[match.group(1).casefold()]
    named = {letter for text, letter in texts.items() if text and f" {text} " in f" {plain} "}
    if len(named) == 1:
        return named.pop()
    bracketed = _BRACKETED.search(answer)
    letter = (bracketed.group(1) or bracketed.group(2)).casefold() if bracketed else ""
    return by_letter.get(letter)


def _is_word(match: re.Match[str], answer: str) -> bool:
    """The English words "a" and "I" in front of other words, not options A and I: "a red ball"."""
    after = answer[match.end() : match.end() + 2]
    return match.group(1) in "aI" and len(after) == 2 and after[0] == " " and after[1].isalpha()


def _plain(text: str) -> str:
    # An answer of nothing but punctuation, such as closing brackets, keeps it.
    text = " ".join(text.split())  # all white space, not only ASCII's
    return (text.strip(_EDGES) or text).casefold()


def _fallback(tail: str, kind: AnswerKind, choices: Choices | None) -> str | None:
    last = tail.rsplit("\n", 1)[-1]
    if kind == "number":
        numbers = [match.group() for match in _NUMBER.finditer(tail) if match["whole"] or match["part"]]
        return _number(numbers[-1]) if numbers else None
    if kind == "choice":
        by_letter = {letter.casefold(): letter for letter in choices or {}}
        letters = [(match.group(1) or match.group(2)).casefold() for match in _BRACKETED.finditer(tail)]
        known = [by_letter[letter] for letter in letters if letter in by_letter]
        return known[-1] if known else _choice(last, choices or {})
    if kind == "yesno":
        words = _YES_NO.findall(tail)
        return canonical(words[-1], "yesno") if words else None
    return canonical(last, kind) if len(last) <= 200 else None
