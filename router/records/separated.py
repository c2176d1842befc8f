"""Records of CSV and TSV: the first line names the columns; an empty cell is no value."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from router.records.files import MAX_RECORD, RecordError, text_lines

_NAMED_MARK = re.compile(r"^sep=(.)\r?\n?$", re.IGNORECASE)
csv.field_size_limit(MAX_RECORD)


def records(file: IO[bytes], path: Path, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line on which the row begins, cells by column). A row with more or fewer cells than the header is an error."""
    lines = _Counted(text_lines(file, path))
    first = next(lines, None)
    while first is not None and not first.strip():
        first = next(lines, None)
    if first is None:
        return
    named = _NAMED_MARK.match(first)
    if named:  # what Excel reads and writes: the first line names the separator
        separator, first = named.group(1), next(lines, "")
    else:
        separator = _separator(first, separator)
    lines.push(first)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    header: list[str] | None = None
    while True:
        begins = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            hint = " (a quote is not closed, or stands inside a cell that does not begin with one)"
            if "new-line character" in str(error):
                why = "its lines end with a carriage return alone: save the file with line feeds (`tr '\\r' '\\n'`)"
                raise RecordError(f"{path}:{begins}: not valid CSV: {why}") from None
            raise RecordError(
                f"{path}:{begins}: not valid CSV: {error}{hint if 'expected' in str(error) else ''}"
            ) from None
        if row is None:
            return
        if header is None:
            header = _header(row, f"{path}:{begins - 1 or 1}")
            if not _is_question(row):
                continue
            header = ["question", *(chr(65 + place) for place in range(len(row) - 2)), "answer"]
            begins -= 1
        if len(header) > 1 and not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise RecordError(
                f"{path}:{begins}: {len(row)} cells for {len(header)} columns ({', '.join(header)[:200]})"
            )
        yield begins, {name: cell if cell.strip() else None for name, cell in zip(header, row, strict=True)}


class _Counted:
    """Lines with the number of the last one that was taken; one line can be put back."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._pushed: str | None = None
        self.number = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        if self._pushed is not None:
            line, self._pushed = self._pushed, None
            return line
        self.number, line = next(self._lines)
        return line

    def push(self, line: str) -> None:
        self._pushed = line


def _separator(header: str, separator: str) -> str:
    """Semicolons and tabs where a `.csv` has no comma in its header: what spreadsheets write in many countries."""
    if separator in header:
        return separator
    return next((other for other in ("\t", ";", "|") if other in header), separator)


def _is_question(row: list[str]) -> bool:
    """The first line is a question, its options and the letter of the right one: MMLU's own files have no header."""
    letters = [chr(65 + place) for place in range(len(row) - 2)]
    return 4 <= len(row) <= 12 and row[-1].strip() in letters and not any(cell.strip() in letters for cell in row[:-1])


def _header(row: list[str], where: str) -> list[str]:
    names = [name.strip() for name in row]
    for number, name in enumerate(names, 1):
        if names.count(name) > 1 and name:
            raise RecordError(f"{where}: two columns are named {name!r}")
        if not name:
            # pandas writes its index as a first column without a name.
            names[number - 1] = f"column {number}"
    return names
