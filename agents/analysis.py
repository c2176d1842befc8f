"""What a judge finds in several replies to one request: where they agree, where they contradict one another, what only
one of them saw, and what none of them has.

A judge is held to `ANALYSIS_SCHEMA` where its engine can; what it writes is read all the same as a stranger's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reasoning.text import separate

POINTS = 6
"""Of one kind; further ones are left out."""
POINT_LIMIT = 300
"""Characters of one point."""
READ = 20_000
"""Characters of a judge's reply that are looked at."""
STARTS = 64
"""Opening braces at which an analysis is looked for."""

_POINT = {"type": "string", "maxLength": POINT_LIMIT}
_POINTS = {"type": "array", "maxItems": POINTS, "items": _POINT}
ANALYSIS_SCHEMA: Mapping[str, Any] = {
    "title": "Analysis",
    "type": "object",
    "properties": {
        "consensus": _POINTS,
        "contradictions": _POINTS,
        "unique": {
            "type": "array",
            "maxItems": POINTS,
            "items": {
                "type": "object",
                "properties": {"reply": {"type": "integer", "minimum": 1, "maximum": 64}, "point": _POINT},
                "required": ["reply", "point"],
                "additionalProperties": False,
            },
        },
        "missing": _POINTS,
    },
    "required": ["consensus", "contradictions", "unique", "missing"],
    "additionalProperties": False,
}
"""Bounded, so that a weak judge comes to an end."""


@dataclass(frozen=True, slots=True)
class UniquePoint:
    """What one reply alone has; `reply` is its number, from 1."""

    reply: int
    point: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """A judge's findings, each a sentence or two."""

    consensus: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    unique: tuple[UniquePoint, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True if the judge found nothing at all."""
        return not (self.consensus or self.contradictions or self.unique or self.missing)

    def as_json(self) -> dict[str, Any]:
        """Its fields, for JSON."""
        return {name: list(points) for name, points in asdict(self).items()}

    def lines(self) -> str:
        """One line per finding, for prompts and for people."""
        return "\n".join(
            [
                *(f"- All agree: {one}" for one in self.consensus),
                *(f"- They contradict one another: {one}" for one in self.contradictions),
                *(f"- Only [{one.reply}] has: {one.point}" for one in self.unique),
                *(f"- Missing in all: {one}" for one in self.missing),
            ]
        )


def parse_analysis(text: str, replies: int) -> Analysis | None:
    """A judge's reply about `replies` replies, read; None: it holds no analysis. Never fails.

    The JSON may stand among other text, behind a thought, in a fence. What is of another type is left out, and so are
    points of replies that there are not.
    """
    for found in _objects(separate(text[:READ]).reply):
        kinds = ("consensus", "contradictions", "unique", "missing")
        if any(isinstance(found.get(kind), list) for kind in kinds):
            points = {kind: found[kind] if isinstance(found.get(kind), list) else [] for kind in kinds}
            return Analysis(
                _texts(points["consensus"]),
                _texts(points["contradictions"]),
                tuple(_unique(points["unique"], replies))[:POINTS],
                _texts(points["missing"]),
            )
    return None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, begin = json.JSONDecoder(), text.find("{")
    for _ in range(STARTS):
        if begin < 0:
            return
        try:
            found, _ = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            yield found
        begin = text.find("{", begin + 1)


def _texts(points: list[Any]) -> tuple[str, ...]:
    return tuple(point for one in points if isinstance(one, str) and (point := _line(one)))[:POINTS]


def _unique(points: list[Any], replies: int) -> Iterator[UniquePoint]:
    for one in points:
        if not isinstance(one, dict):
            continue
        number, point = one.get("reply"), one.get("point")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= replies:
            continue
        if isinstance(point, str) and (line := _line(point)):
            yield UniquePoint(number, line)


def _line(text: str) -> str:
    """One bounded line that can be written as UTF-8."""
    return " ".join(text[: 4 * POINT_LIMIT].split())[:POINT_LIMIT].encode("utf-8", "replace").decode()
