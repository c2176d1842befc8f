"""The short answer that words give: `The capital of Peru is Lima, not Cusco.` gives Lima.

What a sentence repeats of the question is not the answer; where that does not decide, or the question is not known,
the form of the sentence does: what stands behind `is` where a description stands in front of it, and the other way
round. A sentence of another form stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.answers import asides, naming_words
from agents.answers.asked import novel
from agents.answers.statements import sentences

SHORT = 60
"""Characters of a line that can be a name and nothing else."""
LONG = 300
"""Characters of a sentence that is looked at."""
STEPS = 4

_BOLD = re.compile(r"\*\*([^*\n]{1,100})\*\*")
_INITIAL = re.compile(r"\b[A-Z]\.\s(?=[A-Z])")
_HEADING = re.compile(
    r"(?:step|note|explanation|reason\w*|summary|conclusion|answer|final answer|background|details?|key \w+)\b"
    r"[^\n]{0,20}$|.*[:：]$",
    re.IGNORECASE,
)


def named(text: str, asked: str = "") -> str:
    """The short answer in one statement; the text itself where no form is known. `asked`: the question."""
    bold = _bold(text)
    if bold is not None:
        return asides.without_asides(bold)
    if len(text) > LONG:
        return text
    bare = text.strip()
    for _ in range(STEPS):
        bare, before = _step(bare, asked), bare
        if bare == before:
            break
    if (title := naming_words.TITLE.match(bare)) is not None:
        bare = bare[title.end() :]  # `Mexican painter Frida Kahlo`
    return bare or text


def _step(bare: str, asked: str) -> str:
    bare = asides.without_asides(bare)
    if len(bare) > LONG:
        return bare
    if asked and (found := novel(bare, asked)) is not None:
        return found
    return _by_form(bare) if bare.count(" ") > 0 else bare


def _by_form(bare: str) -> str:
    """What a sentence states by its form alone."""
    stripped = bare.rstrip(".! ")
    for pattern in naming_words.FORMS:
        found = pattern.fullmatch(stripped)
        if found is not None:
            return found["value"].strip()
    return _of_copula(stripped) or bare


def _of_copula(bare: str) -> str | None:
    """The side of `is` that is no description of what was asked for."""
    splits = list(naming_words.COPULA.finditer(bare))
    if not splits or naming_words.NO_STATEMENT.search(bare):
        return None
    first, last = splits[0], splits[-1]
    left = bare[: first.start()].strip()
    if naming_words.CLAUSE.search(left) or (
        len(splits) > 1 and naming_words.CLAUSE.search(bare[first.end() : last.start()])
    ):
        first = last if naming_words.DESCRIBES.match(left) else first
    left, right = bare[: first.start()].strip(), bare[first.end() :].strip()
    if not left or not right or naming_words.NO_VALUE.match(right):
        return None
    words = len(left.split())
    if naming_words.PRONOUN.fullmatch(left):
        return right
    if (
        naming_words.SUPERLATIVE.match(right) is not None
        and naming_words.SUPERLATIVE.match(left) is None
        and words <= 6
    ):
        return left
    described = naming_words.DESCRIPTION.match(right) is not None
    if naming_words.DESCRIBES.match(left) is not None or "'s " in left or "’s " in left:
        longer = len(right.split()) > words and naming_words.CLAUSE.search(right) is not None
        name = naming_words.PROPER.match(right) is not None
        return left if described and longer and words <= 3 and not name and "'s " not in left else right
    if described and words <= 6:
        return left
    return None


def _bold(text: str) -> str | None:
    """The one bold part of a text that is no heading and not all of it."""
    if "**" not in text:
        return None
    found = {one.strip(" .:") for one in _BOLD.findall(text) if _HEADING.fullmatch(one.strip()) is None}
    if len(found) != 1:
        return None
    bold = found.pop()
    return bold if bold and len(bold) < len(text.strip(" *.")) else None


def statement(text: str) -> str:
    """The part of a reply without a marker that answers: its first line alone, its one bold part, what it concludes,
    else the last sentence that is not about the one before it."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return text
    head = lines[0]
    if len(lines) > 1 and _is_name(head):
        return head
    if (bold := _bold(text[:2_000])) is not None and len(bold) <= SHORT:
        return bold
    parts = [one.strip() for line in lines[-12:] for one in _sentences(line) if one.strip(" .*_#")]
    if not parts:
        return lines[-1]
    if len(parts) > 1 and naming_words.CONCLUDES.match(parts[-1]):
        return parts[-1]
    if len(parts) > 1 and len(lines) == 1 and _is_name(parts[0]):
        return parts[0]
    while len(parts) > 1 and naming_words.GOES_ON.match(parts[-1]):
        parts.pop()
    return parts[-1]


def _sentences(line: str) -> Sequence[str]:
    """The sentences of a line; initials end none."""
    if _INITIAL.search(line) is None:
        return sentences(line)
    return [one.replace("\0", " ") for one in sentences(_INITIAL.sub(lambda one: one.group()[:-1] + "\0", line))]


def _is_name(line: str) -> bool:
    bare = line.strip("*_` ")
    return (
        len(bare) <= SHORT
        and any(c.isalnum() for c in bare)
        and bare[-1] not in ":：?？,;"
        and naming_words.VERB.search(bare) is None
        and naming_words.NO_NAME.match(bare) is None
    )
