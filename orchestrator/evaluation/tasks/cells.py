"""Cells of a record: found by a dotted name, and read as text without changing what they say."""

from __future__ import annotations

import datetime
import decimal
import html
import math
import re
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


class CellError(ValueError):
    """A cell that cannot be read as what it should hold. `key` names it; whoever knows the file adds the place."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")


def cell(record: Record, name: str) -> Any:
    """The value under a name; a dotted name reaches into nested objects: `choices.text`. None where nothing is."""
    if name in record:
        return record[name]
    if "." not in name:
        return None
    value: Any = record
    for piece in name.split("."):
        if not isinstance(value, Mapping) or piece not in value:
            return None
        value = value[piece]
    return value


def scalar(value: Any, key: str) -> str | None:
    """The text of one value; None where there is none. Whole floats lose their point: 18.0 is "18".

    Raises CellError for NaN, infinity, and what is no text, number, truth value or date.
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | decimal.Decimal):
        if not math.isfinite(value):
            raise CellError(key, f"{value} is no value: was the cell empty?")
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise CellError(key, f"must be text or a number, is {kind_in_words(value)}")


_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|times|deg|eacute|#\d{2,5}|#x[0-9a-fA-F]{2,5});")
_ABOUT_HTML = re.compile(r"\b(?:html|xml|xhtml|entit(?:y|ies)|escap(?:e|ed|ing))\b", re.IGNORECASE)


def unescaped(record: Record) -> Record:
    """A record with the signs that HTML's entities stand for: `&quot;` is `"`. One about HTML stays as it is."""
    if not any(_entities(value) for value in record.values()):
        return record
    if any(isinstance(value, str) and _ABOUT_HTML.search(value) for value in record.values()):
        return record
    return {name: _signs(value) for name, value in record.items()}


def _entities(value: Any) -> bool:
    if isinstance(value, str):
        return "&" in value and _ENTITY.search(value) is not None
    if isinstance(value, list | tuple):
        return any(map(_entities, value))
    return isinstance(value, Mapping) and any(map(_entities, value.values()))


def _signs(value: Any) -> Any:
    if isinstance(value, str):
        return html.unescape(value) if _entities(value) else value
    if isinstance(value, list | tuple):
        return [_signs(one) for one in value]
    return {name: _signs(one) for name, one in value.items()} if isinstance(value, Mapping) else value


_PASSAGES = ("text", "contexts", "sentences", "passages", "passage", "content", "paragraphs", "context")


def passage(value: Any, key: str) -> str:
    """The text of a cell that stands beside a question: text, or lists of texts line by line; empty for none.

    Raises CellError for what holds no text in a known place.
    """
    if isinstance(value, Mapping):
        inner = next((name for name in _PASSAGES if name in value), None)
        if inner is None:
            first = next(iter(value), "x")
            raise CellError(key, f"is {kind_in_words(value)}: name the one that holds its text, such as {key}.{first}")
        return passage(value[inner], f"{key}.{inner}")
    if isinstance(value, list | tuple):
        parts = [passage(one, f"{key}[{place}]") for place, one in enumerate(value)]
        return "\n".join(part for part in parts if part)
    return (scalar(value, key) or "").strip()


def kind_in_words(value: Any) -> str:
    """What a value is, for an error."""
    if isinstance(value, Mapping):
        return f"an object with the keys {', '.join(map(str, value))[:200]}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bytes):
        return "bytes"
    return f"of type {type(value).__name__}"
