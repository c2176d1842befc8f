"""Questions in JSON Lines files (`.gz` too): id, task, question, choices, answer, kind, skill, split."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.answers import canonical
from agents.question import AnswerKind, Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks.task import split_of

LINE_LIMIT = 4 * 2**20
"""Bytes of one line."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str | int | None = None
    task: str | None = None
    question: str
    choices: dict[str, str] | None = None
    answer: str | int | float | None = None
    kind: AnswerKind | None = None
    skill: str | None = None
    skills: tuple[str, ...] = ()
    split: str | None = None


def read(path: Path) -> list[Question]:
    """All questions of a file. Unknown keys are ignored; `kind` defaults to choice where there are choices, else text.

    Raises:
        BadInput: cannot be read, not JSON, not a question, a gold answer that is none, an id twice; with file and line.
    """
    questions: dict[str, Question] = {}
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        question = _question(line, f"{path}:{number}", path.name.split(".")[0], number)
        if question.id in questions:
            raise BadInput(f"{path}:{number}: id {question.id!r} occurs twice")
        questions[question.id] = question
    if not questions:
        raise BadInput(f"{path}: no questions in it")
    return list(questions.values())


def split(questions: list[Question], wanted: str, source: str) -> list[Question]:
    """The questions of one split. Where no question names a split, all belong to `test`.

    A source without `validation` lends it a tenth of `train`, chosen by the question's text.

    Raises:
        BadInput: no question belongs to that split; names those that exist.
    """
    present = {question.split or "test" for question in questions}
    lent = "validation" not in present and "train" in present
    chosen = []
    for question in questions:
        own = question.split or "test"
        if lent and own == "train" and split_of(question.question) == "validation":
            own = "validation"
        if own == wanted:
            chosen.append(question if question.split == own else question.model_copy(update={"split": own}))
    if not chosen:
        raise BadInput(f"{source} has no split {wanted!r}; it has {', '.join(sorted(present))}")
    return chosen


def _question(line: bytes, where: str, stem: str, number: int) -> Question:
    try:
        row = _Line.model_validate(json.loads(line))
        kind: AnswerKind = "choice" if row.choices else row.kind or "text"
        question = Question(
            id=str(row.id if row.id is not None else f"{stem}-{number}"),
            task=row.task or stem,
            question=row.question,
            kind=kind,
            choices=row.choices,
            answer=None if row.answer is None else _plain(row.answer),
            skills=row.skills or ((row.skill,) if row.skill else ()),
            split=row.split,
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "line"
        raise BadInput(f"{where}: {key}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not JSON: {error}") from error
    if question.answer is not None and canonical(question.answer, kind, question.choices) is None:
        raise BadInput(f"{where}: answer: {question.answer[:80]!r} is no answer of kind {kind}")
    return question


def _plain(answer: Any) -> str:
    return str(int(answer)) if isinstance(answer, float) and answer.is_integer() else str(answer)


def lines(path: Path) -> Iterator[bytes]:
    """The file's lines, none longer than `LINE_LIMIT`."""
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LINE_LIMIT + 1):
                number += 1
                if len(line) > LINE_LIMIT:
                    raise BadInput(f"{path}:{number}: a line of more than {LINE_LIMIT >> 20} MiB")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{path}: cannot be read after line {number}: {reason}") from error


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")
