"""Cells of foreign routing tables: text, scores, costs; and rows put together from several records."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.row import MAX_EXPERTS, Row, TableError

Record = Mapping[str, Any]
EMPTY = frozenset({"", "n/a", "na", "<na>", "null", "none", "-", "--"})
"""What stands in a cell without a number, in lower case."""


_WORDS = {"true": 1.0, "false": 0.0, "correct": 1.0, "incorrect": 0.0, "yes": 1.0, "no": 0.0}
_DECIMAL_COMMA = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})|-?0,\d+")
"""`0,5`, and not `1,000`, which may be a thousand."""


def first(record: Record, *names: str) -> Any:
    """The first of these cells that holds something."""
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def written(value: Any) -> Any:
    """A value that was written as JSON into a text cell, as CSV needs it; any other as it is."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def text(value: Any, where: str) -> str:
    """Text that is not empty. RouterBench writes a prompt as the text of a list: `['...']`. Raises `TableError` for
    an empty one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.startswith(("['", '["')) and value.endswith(("']", '"]')):
        import ast

        try:
            parts = written(value)
            parts = ast.literal_eval(value) if parts is value else parts
            value = "\n\n".join(parts) if all(isinstance(part, str) for part in parts) else value
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            pass
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise TableError(f"{where}: must be text that is not empty")
    return value


def number(value: Any, where: str) -> float | None:
    """A finite number; None for an empty cell (and for NaN, N/A and the like, which is how Parquet, pandas and people
    write one). Raises `TableError` for anything else."""
    if value is None or (isinstance(value, str) and value.strip().lower() in EMPTY):
        return None
    if isinstance(value, bool):
        return float(value)
    try:
        found = float(value)
    except (TypeError, ValueError):
        said = str(value).strip().lower()
        if said in _WORDS:
            return _WORDS[said]
        if _DECIMAL_COMMA.fullmatch(said):
            return float(said.replace(",", "."))
        if said.endswith("%") and (share := number(said[:-1].rstrip(), where)) is not None:
            return share / 100
        raise TableError(f"{where}: must be a number, is {str(value)[:40]!r}") from None
    if math.isnan(found):
        return None
    if math.isinf(found):
        raise TableError(f"{where}: must be finite, is {found}")
    return found


def cost(value: Any, where: str) -> float | None:
    """A number from 0; None for an empty cell. Raises `TableError` for a number below 0."""
    found = number(value, where)
    if found is not None and found < 0:
        raise TableError(f"{where}: must be a cost from 0, is {found:g}")
    return found


def score(value: Any, where: str) -> float | None:
    """A number from 0 to 1; None for an empty cell. Raises `TableError` for another number."""
    found = number(value, where)
    if found is not None and not 0 <= found <= 1:
        raise TableError(f"{where}: must be a score from 0 to 1, is {found:g}: divide by the highest possible score")
    return found


@dataclass
class Gathered:
    """A row in the making."""

    id: str
    question: str
    correct: dict[str, float] = field(default_factory=dict)
    predictions: dict[str, str | None] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    """task, split, category, answer."""
    extra: dict[str, Any] = field(default_factory=dict)

    def add(self, expert: str, value: float | None, where: str) -> None:
        """Set an expert's score. Raises TableError for another one than it has."""
        if value is None:
            return
        known = self.correct.setdefault(expert, value)
        if known != value:
            raise TableError(f"{where}: {expert!r} has the scores {known:g} and {value:g} for one question")
        if len(self.correct) > MAX_EXPERTS:
            raise TableError(f"{where}: more than {MAX_EXPERTS} experts")

    def row(self) -> Row:
        """The finished row."""
        extra = {**self.extra, **({"cost": self.cost} if self.cost else {})}
        return Row(
            id=self.id,
            question=self.question,
            correct=self.correct,
            predictions=self.predictions,
            extra=extra,
            **self.fields,
        )


class Gathering:
    """Rows by question, for formats with one record per question and expert."""

    def __init__(self) -> None:
        self._rows: dict[str, Gathered] = {}

    def row(self, question: str, id: Any = None, **fields: Any) -> Gathered:
        """The row of this question, made at its first record. Raises `TableError` for an id with two questions."""
        key = str(id) if id is not None else f"q-{hashlib.sha256(question.encode(errors='replace')).hexdigest()[:16]}"
        found = self._rows.get(key)
        if found is None:
            known = {name: str(value) for name, value in fields.items() if value not in (None, "")}
            found = self._rows[key] = Gathered(key, question, fields=known)
        elif found.question != question:
            raise TableError(f"id {key!r}: two different questions have it")
        return found

    def finished(self) -> list[Row]:
        """All rows with at least one score, in order of appearance."""
        return [row.row() for row in self._rows.values() if row.correct]
