"""Patterns that are searched only where one of their words stands: most texts have none, and a look is far cheaper."""

from __future__ import annotations

import re


class Guarded:
    """A pattern of which every match holds one of `stems`: words or parts of words in lower case, divided by `|`."""

    __slots__ = ("pattern", "stems")

    def __init__(self, pattern: str, stems: str, flags: re.RegexFlag = re.IGNORECASE) -> None:
        self.pattern, self.stems = re.compile(pattern, flags), tuple(stems.split("|"))

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """The first match from `start` on; None where there is none."""
        lowered = text.lower()
        for stem in self.stems:
            if stem in lowered:
                return self.pattern.search(text, start)
        return None

    def sub(self, to: str, text: str) -> str:
        """The text with `to` in place of every match."""
        lowered = text.lower()
        return self.pattern.sub(to, text) if any(stem in lowered for stem in self.stems) else text
