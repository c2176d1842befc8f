"""An expert's reply, read: its reasoning, answer, confidence, or the keywords it names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents import answers
from agents.answers import markers
from agents.question import Question
from reasoning.text import separate

KEYWORD_LIMIT = 8

_CONFIDENCE = re.compile(
    r"confidence(?: level| score| is)?[ \t*_]{0,8}[:=]?[ \t*_]{0,8}"
    r"(\d{1,4}(?:\.\d{0,20})?|\.\d{1,20})[ \t]?(%|/[ \t]?\d{1,4})?",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^[ \t*_#>-]{0,8}(?:final |correct )?(?:answer|confidence)\b", re.IGNORECASE | re.MULTILINE)
_WORDS = ("nswer", "NSWER", "onfidence", "ONFIDENCE")
"""What such a line holds, but for its first letter."""
_KEYWORDS = re.compile(r"keywords?[ \t*_]{0,8}[:=]([^\n]{0,1000})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `answer` is the key of comparison; None: the agent abstains. `confidence` is 0 to 1; None: none was
    stated."""

    text: str
    reasoning: str
    answer: str | None
    confidence: float | None
    written: str | None = None
    """The answer as the reply writes it: what people are shown."""

    @property
    def abstains(self) -> bool:
        """True if the reply has no answer."""
        return self.answer is None

    @property
    def displayed(self) -> str | None:
        """The answer as people are shown it; None: it abstains."""
        return None if self.answer is None else self.written or self.answer


def parse_reply(text: str, question: Question, thoughts: str = "", *, cut: bool = False) -> Reply:
    """Read a reply. Never fails and never guesses: where no answer can be read, the reply abstains.

    Plain text with an `Answer:` line or any other form that `agents.answers` knows, or JSON with `answer` and perhaps
    `reasoning` and `confidence`. Thoughts, those in the text and those that came apart from it (`thoughts`), are
    neither answer nor reasoning, unless there is no other reasoning. `cut`: the token limit ended the reply; what
    it has not marked as its answer is none. A question of kind `open` with a scorer takes the whole reply as its
    answer.
    """
    separated = separate(text)
    visible = separated.reply
    if question.is_chat:
        return Reply(
            text,
            visible.strip(),
            answers.canonical(visible, "open") if visible.strip() else None,
            None,
            visible.strip(),
        )
    found = None if separated.cut and not visible else answers.read_reply(visible, question, cut=cut)
    key, written = (None, None) if found is None else (found.key, found.written)
    if question.scorer and question.kind == "open":
        key = written = visible.strip() or None
    fields = _json(visible)
    if fields is not None:
        reasoning = next(
            (value for name in ("reasoning", "explanation") if isinstance(value := fields.get(name), str)), ""
        )
        sure = fields.get("confidence", fields.get("confidencelevel"))
        confidence = parse_confidence(f"confidence: {sure}") if isinstance(sure, str | int | float) else None
    else:
        reasoning = visible[: _first_marker(visible[: answers.WINDOW])]
        confidence = parse_confidence(visible)
    return Reply(text, (reasoning.strip() or separated.thoughts or thoughts).strip(), key, confidence, written)


def _first_marker(text: str) -> int | None:
    """Where the first line with a marker begins; None where there is none."""
    places: list[int] = []
    for word in _WORDS:
        if word not in text:
            continue
        place = text.find(word)
        while place >= 0:
            places.append(place)
            place = text.find(word, place + 1)
    for place in sorted(places):
        begins = text.rfind("\n", 0, place) + 1
        if place - begins <= 25 and _MARKER.match(text, begins):
            return begins
    return None


def _json(text: str) -> dict[str, object] | None:
    """The fields of the JSON object that a reply consists of, by their plain names, if it has an answer."""
    if "{" not in text or len(text) > answers.WINDOW:
        return None
    found = markers.fields(text)
    return None if found is None else {markers.plain_key(str(name)): value for name, value in found.items()}


def parse_confidence(text: str) -> float | None:
    """The last stated confidence, between 0 and 1: 0.9, .9, 90%, 90, 9/10 and 90/100 are all 0.9."""
    tail = text[-answers.WINDOW :]
    stated = _CONFIDENCE.findall(tail) if "onfidence" in tail or "CONFIDENCE" in tail else []
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
