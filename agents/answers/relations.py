"""Comparisons of terms: `x > 3` is the interval `(3, oo)`, `x + y > 3` keeps both sides, the smaller one first."""

from __future__ import annotations

import re

from agents.answers.terms import Tree, read_term
from agents.answers.values import key_of, names

_RELATIONS = re.compile(r"\\(?:leq?|geq?|neq?|lt|gt)(?![a-z])|<=|>=|!=|[<>≤≥≠]")
_RELATION_NAMES = {"le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "ne": "!=", "neq": "!=", "lt": "<", "gt": ">"}
_RELATION_SIGNS = {"≤": "<=", "≥": ">=", "≠": "!="}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}


def is_relation(bare: str) -> bool:
    """Whether a text compares: `x > 3`, `1 \\le x`."""
    return _RELATIONS.search(bare) is not None


def relation(bare: str) -> str | None:
    """The key of one or two comparisons of terms; None where a term cannot be read."""
    signs = [_sign(one) for one in _RELATIONS.findall(bare)]
    sides = [read_term(side.strip()) for side in _RELATIONS.split(bare)]
    if len(signs) > 2 or any(side is None for side in sides):
        return None
    if (interval := _interval([side for side in sides if side is not None], signs)) is not None:
        return interval
    keys = [key_of(side) for side in sides if side is not None]
    if any(key is None for key in keys):
        return None
    read = [str(key) for key in keys]
    if signs[0] in (">", ">=") or (signs[0] == "!=" and read[0] > read[-1]):
        read.reverse()
        signs = [_FLIPPED[sign] for sign in reversed(signs)]
    return " ".join([read[0], *(piece for pair in zip(signs, read[1:], strict=True) for piece in pair)])


def _interval(sides: list[Tree], signs: list[str]) -> str | None:
    """`x > 3` is `(3, oo)` and `1 < x <= 2` is `(1, 2]`; None for other relations."""
    if signs[0] in (">", ">="):
        sides, signs = sides[::-1], [_FLIPPED[sign] for sign in reversed(signs)]
    if "!=" in signs or not all(sign in ("<", "<=") for sign in signs):
        return None
    place = next((at for at, side in enumerate(sides) if side[0] == "symbol"), None)
    others = [side for at, side in enumerate(sides) if at != place]
    if place is None or any(names(side) for side in others) or (len(sides) == 3 and place != 1):
        return None
    bounds = [key_of(side) for side in others]
    if any(bound is None for bound in bounds):
        return None
    if len(sides) == 3:
        return f"{'[' if signs[0] == '<=' else '('}{bounds[0]}, {bounds[1]}{']' if signs[1] == '<=' else ')'}"
    closed = signs[0] == "<="
    if place == 0:
        return f"(-oo, {bounds[0]}{']' if closed else ')'}"
    return f"{'[' if closed else '('}{bounds[0]}, oo)"


def _sign(found: str) -> str:
    return _RELATION_NAMES.get(found.lstrip("\\"), _RELATION_SIGNS.get(found, found))
