"""Brackets, and what stands between separators outside them."""

from __future__ import annotations

import re


def split_at(text: str, separators: str) -> list[str]:
    """The parts of a text between separators that stand outside all brackets. A comma within a number separates
    nothing."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char in separators and depth <= 0 and not (char == "," and thousands(text, place)):
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return parts


_GROUP = re.compile(r"\d{3}(?!\d)")


def thousands(text: str, place: int) -> bool:
    """Whether the comma at `place` separates thousands."""
    before = re.search(r"(?<!\d)[1-9]\d{0,2}(?:,\d{3})*$", text[max(0, place - 40) : place])
    return before is not None and _GROUP.match(text, place + 1) is not None


def enclosed(text: str) -> bool:
    """Whether one pair of brackets encloses a text wholly."""
    text = text.replace("\\{", "{").replace("\\}", "}")
    return text[:1] in ("[", "{") and closing(text, 0) == len(text) - 1


def closing(text: str, opening: int) -> int:
    """Where the bracket at `opening` is closed; an interval may open with one bracket and close with another."""
    depth = 0
    for place in range(opening, len(text)):
        if text[place] in "([{":
            depth += 1
        elif text[place] in ")]}":
            depth -= 1
            if depth == 0:
                return place
    return -1
