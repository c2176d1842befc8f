"""One row of a correctness table, and how it is read from a file that anyone may have written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

MAX_ROW_BYTES = 16 * 2**20
MAX_EXPERTS = 10_000


class TableError(ValueError):
    """A correctness table, or one row of it, cannot be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question and what each expert made of it. `None` in `predictions` is an abstention."""

    id: str
    question: str
    correct: dict[str, float]
    """Score of each expert, 0..1; an expert that was not asked is absent."""
    split: str | None = None
    task: str | None = None
    category: str | None = None
    skills: tuple[str, ...] = ()
    answer: str | None = None
    predictions: dict[str, str | None] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys that this package does not know, untouched."""

    @property
    def repeat(self) -> bool:
        """The question occurs elsewhere too: it may be reported on, never fitted."""
        return bool(self.extra.get("repeat"))

    def field_as_skill(self, key: str) -> str | None:
        """The value of a text field (`category`, `src`, ...), to serve as a skill; None if it has none."""
        value = getattr(self, key) if key in ("task", "category", "split") else self.extra.get(key)
        return str(value) if isinstance(value, str | int) and str(value).strip() else None

    def as_json(self) -> dict[str, Any]:
        """The row as it stands in a file: optional keys only where they say something."""
        body: dict[str, Any] = {"id": self.id, "question": self.question, **self.extra}
        for key in ("answer", "category", "task", "split"):
            if getattr(self, key) is not None:
                body[key] = getattr(self, key)
        if self.skills:
            body["skills"] = list(self.skills)
        if self.predictions:
            body["predictions"] = self.predictions
        body["correct"] = {name: int(score) if score in (0, 1) else score for name, score in self.correct.items()}
        return body


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a JSON Lines file (`.gz` too) with their line numbers, from 1; blank lines are skipped.

    Raises TableError naming file, row and key.
    """
    for number, line in _lines(path):
        yield number, _row(line, f"{path}: row {number}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            number = 0
            while line := file.readline(MAX_ROW_BYTES + 1):
                number += 1
                if len(line) > MAX_ROW_BYTES:
                    raise TableError(f"{path}: row {number}: longer than {MAX_ROW_BYTES} bytes")
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error


def _row(line: bytes, where: str) -> Row:
    try:
        body = json.loads(line.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in line:
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise TableError(f"{where}: holds half of a surrogate pair (\\ud800...), which is no text") from None
    except (ValueError, RecursionError) as error:
        raise TableError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise TableError(f"{where}: must be an object, is {_kind(body)}")
    question = body.pop("question", None)
    if not isinstance(question, str) or not question.strip():
        raise TableError(f"{where}: question: must be text that is not empty, is {_kind(question)}")
    return Row(
        id=_label(body.pop("id", None), f"{where}: id"),
        question=question,
        correct=_scores(body.pop("correct", None), f"{where}: correct"),
        split=_optional(body.pop("split", None), f"{where}: split"),
        task=_optional(body.pop("task", None), f"{where}: task"),
        category=_optional(body.pop("category", None), f"{where}: category"),
        skills=_skills(body.pop("skills", None), f"{where}: skills"),
        answer=_optional(body.pop("answer", None), f"{where}: answer"),
        predictions=_predictions(body.pop("predictions", None), f"{where}: predictions"),
        extra=body,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return body


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _label(value: object, where: str) -> str:
    text = _optional(value, where)
    if text is None or not text.strip():
        raise TableError(f"{where}: must be text that is not empty, is {_kind(value)}")
    return text


def _optional(value: object, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise TableError(f"{where}: must be text, is {_kind(value)}")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TableError(f"{where}: must be an object of experts, is {_kind(value)}")
    if len(value) > MAX_EXPERTS:
        raise TableError(f"{where}: more than {MAX_EXPERTS} experts")
    if "" in value:
        raise TableError(f"{where}: an expert's name is empty")
    return value


def _scores(value: object, where: str) -> dict[str, float]:
    scores = {}
    for name, score in _mapping(value, where).items():
        if score is None:
            continue
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise TableError(f"{where}.{name}: must be a number from 0 to 1, is {str(score)[:40]!r}")
        scores[name] = float(score)
    return scores


def _predictions(value: object, where: str) -> dict[str, str | None]:
    if value is None:
        return {}
    return {name: _optional(answer, f"{where}.{name}") for name, answer in _mapping(value, where).items()}


def _skills(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TableError(f"{where}: must be a list of texts, is {_kind(value)}")
    return tuple(dict.fromkeys(_label(skill, f"{where}[{index}]") for index, skill in enumerate(value)))


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "empty text" if not value.strip() else "text"
    return {dict: "an object", list: "a list", bool: "true or false"}.get(type(value), "a number")
