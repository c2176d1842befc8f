"""Questions from a Hugging Face dataset, by its name and a mapping of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.answers import canonical
from agents.question import AnswerKind, Question
from orchestrator.errors import BadInput, SetupError


class ColumnNames(BaseModel):
    """Which column holds what. A dotted name reaches into a nested column: `choices.text`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    choices: str | None = Field(default=None, description="A list of option texts, or a mapping of letters to texts.")
    letters: str | None = Field(default=None, description="A list of the options' letters; default: A, B, C ...")
    id: str | None = None
    kind: AnswerKind = Field(default="text", description="Ignored where there are choices.")
    answer_after: str | None = Field(default=None, description="Gold is what follows this mark: GSM8K's '####'.")
    subset: str | None = Field(default=None, description="The dataset's configuration, if it has several.")


def read(name: str, split: str, columns: ColumnNames) -> list[Question]:
    """All questions of one split. A gold answer may be a letter, an option's text, or an option's number from 0.

    Raises:
        SetupError: the package `datasets` is not installed.
        BadInput: the dataset or split cannot be had, a column is missing, or a row is no question (with its number).
    """
    try:
        import datasets
    except ImportError as error:
        raise SetupError(f"{name}: Hugging Face datasets need one more package: pip install datasets") from error
    try:
        rows = datasets.load_dataset(name, columns.subset, split=split)
    except Exception as error:
        # The library raises its own, OSError, ValueError and network errors: to the user all are one.
        raise BadInput(f"dataset {name!r}, split {split!r}: cannot be loaded: {error}") from error
    return questions(rows, name, split, columns)


def questions(rows: Iterable[Mapping[str, Any]], name: str, split: str, columns: ColumnNames) -> list[Question]:
    """Turn rows into questions by the mapping."""
    made = []
    for number, row in enumerate(rows):
        where = f"dataset {name!r}, split {split!r}, row {number}"
        choices = _choices(row, columns, where)
        kind: AnswerKind = "choice" if choices else columns.kind
        gold = _gold(_cell(row, columns.answer, where), choices, columns)
        if canonical(gold, kind, choices) is None:
            raise BadInput(f"{where}: column {columns.answer!r}: {gold[:80]!r} is no answer of kind {kind}")
        try:
            question = Question(
                id=str(_cell(row, columns.id, where)) if columns.id else f"{name}-{split}-{number}",
                task=name,
                question=str(_cell(row, columns.question, where)),
                kind=kind,
                choices=choices,
                answer=gold,
                split=split,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        made.append(question)
    return made


def _cell(row: Mapping[str, Any], column: str, where: str) -> Any:
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise BadInput(f"{where}: no column {column!r}; it has {', '.join(map(str, row))}")
        value = value[part]
    return value


def _choices(row: Mapping[str, Any], columns: ColumnNames, where: str) -> dict[str, str] | None:
    if not columns.choices:
        return None
    options = _cell(row, columns.choices, where)
    if isinstance(options, Mapping):
        return {str(letter): str(text) for letter, text in options.items()}
    if not isinstance(options, Sequence) or isinstance(options, str) or not 2 <= len(options) <= 26:
        raise BadInput(f"{where}: column {columns.choices!r}: not a list of 2 to 26 options")
    letters = _cell(row, columns.letters, where) if columns.letters else [chr(65 + i) for i in range(len(options))]
    if len(letters) != len(options):
        raise BadInput(f"{where}: {len(letters)} letters for {len(options)} options")
    return {str(letter): str(text) for letter, text in zip(letters, options, strict=True)}


def _gold(value: Any, choices: Mapping[str, str] | None, columns: ColumnNames) -> str:
    if choices and isinstance(value, int) and not isinstance(value, bool) and str(value) not in choices:
        return list(choices)[value] if 0 <= value < len(choices) else str(value)
    text = str(value)
    if columns.answer_after and columns.answer_after in text:
        text = text.rsplit(columns.answer_after, 1)[1]
    text = text.strip()
    return (canonical(text, "choice", choices) or text) if choices else text
