"""An expert's reply, read: its reasoning, answer, confidence, or the keywords it names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from agents import answers
from agents.question import AnswerKind, Question

KEYWORD_LIMIT = 8

_CONFIDENCE = re.compile(
    r"confidence(?: level| score| is)?[ \t*_]{0,8}[:=]?[ \t*_]{0,8}"
    r"(\d{1,4}(?:\.\d{0,20})?|\.\d{1,20})[ \t]?(%|/[ \t]?\d{1,4})?",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^[ \t*_#>-]{0,8}(?:final |correct )?(?:answer|confidence)\b", re.IGNORECASE | re.MULTILINE)
_KEYWORDS = re.compile(r"keywords?[ \t*_]{0,8}[:=]([^\n]{0,1000})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `answer` is canonical; None: the agent abstains. `confidence` is 0 to 1; None: none was stated."""

    text: str
    reasoning: str
    answer: str | None
    confidence: float | None

    @property
    def abstains(self) -> bool:
        return self.answer is None


def parse_reply(text: str, question: Question) -> Reply:
    """Read a reply. Never fails and never guesses: where no answer can be read, the reply abstains.

    Plain text with an `Answer:` line, or JSON with `answer` and perhaps `reasoning` and `confidence`.
    """
    fields = _json(text)
    if fields is not None:
        return _from_fields(fields, text, question)
    marker = _MARKER.search(text[: answers.WINDOW])
    reasoning = text[: marker.start()] if marker else text
    return Reply(text, reasoning.strip(), answers.extract(text, question), parse_confidence(text))


def _json(text: str) -> dict[str, Any] | None:
    """The JSON object that a reply consists of, in a code fence or not, if it has an answer."""
    opening = text.find("{", 0, 200)
    if opening < 0 or len(text) > answers.WINDOW or '"answer"' not in text:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text, opening)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "answer" in found else None


def _from_fields(fields: dict[str, Any], text: str, question: Question) -> Reply:
    answer, confidence = fields["answer"], fields.get("confidence", fields.get("confidence_level"))
    kind: AnswerKind = "choice" if question.choices else question.kind
    plain = isinstance(answer, str | int | float)
    canonical = answers.canonical(str(answer), kind, question.choices) if plain else None
    # A sentence in the answer field is read like any other reply.
    if canonical is None and isinstance(answer, str):
        canonical = answers.extract(answer, question)
    reasoning = next((fields[key] for key in ("reasoning", "explanation") if isinstance(fields.get(key), str)), "")
    stated = parse_confidence(f"confidence: {confidence}") if isinstance(confidence, str | int | float) else None
    return Reply(text, reasoning.strip(), canonical, stated)


def parse_confidence(text: str) -> float | None:
    """The last stated confidence, between 0 and 1: 0.9, .9, 90%, 90, 9/10 and 90/100 are all 0.9."""
    stated = _CONFIDENCE.findall(text[-answers.WINDOW :])
    if not stated:
        return None
    value, unit = float(stated[-1][0]), stated[-1][1].replace(" ", "")
    if unit == "%":
        value /= 100
    elif unit:
        whole = float(unit[1:])
        value = value / whole if whole else 0.0
    elif value > 1:
        value /= 100
    return min(1.0, max(0.0, value))


def parse_keywords(text: str) -> tuple[str, ...]:
    """The skills of a `Keywords: a, b` line, lower case, without repeats, at most eight; empty where there are none."""
    match = _KEYWORDS.search(text[: answers.WINDOW])
    if not match:
        return ()
    words = (" ".join(word.strip(" .*_\"'`[]()<>").lower().split()) for word in re.split(r"[,;]", match.group(1)))
    return tuple(dict.fromkeys(word for word in words if 0 < len(word) <= 60))[:KEYWORD_LIMIT]
