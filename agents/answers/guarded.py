"""Patterns that are searched only where one of their words stands: most texts have none, and a look is far cheaper."""

from __future__ import annotations

import re
from functools import lru_cache

REACH = 70
"""Characters from the end of a text that a match at its end may span."""
LAST = 4
_WORD, _LETTERS = re.compile(r"\w+"), re.compile(r"[^\W\d_]+")


def word_set(words: str) -> frozenset[str]:
    """The words of a line, divided by spaces."""
    return frozenset(words.split())


@lru_cache(maxsize=16)
def words_of(text: str) -> frozenset[str]:
    """The words of a text in lower case: made once for the steps that only look whether it has one of theirs."""
    return frozenset(_LETTERS.findall(text.lower()))


class Guarded:
    """A pattern of which every match holds one of `stems`: words or parts of words in lower case, divided by `|`.

    `at_end`: every match also ends with its text, spans `REACH` characters at most, and has one of `stems` as a whole
    word among the last `LAST` words."""

    __slots__ = ("pattern", "stems", "words")

    def __init__(self, pattern: str, stems: str, flags: re.RegexFlag = re.IGNORECASE, *, at_end: bool = False) -> None:
        self.pattern, self.stems = re.compile(pattern, flags), tuple(stems.split("|"))
        self.words = frozenset(self.stems) if at_end else None

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """The first match from `start` on; None where there is none."""
        if self.words is not None:
            if self.words.isdisjoint(_WORD.findall(text[-REACH:].lower())[-LAST:]):
                return None
            return self.pattern.search(text, max(start, len(text) - REACH))
        lowered = text.lower()
        for stem in self.stems:
            if stem in lowered:
                return self.pattern.search(text, start)
        return None

    def sub(self, to: str, text: str) -> str:
        """The text with `to` in place of every match."""
        lowered = text.lower()
        return self.pattern.sub(to, text) if any(stem in lowered for stem in self.stems) else text
