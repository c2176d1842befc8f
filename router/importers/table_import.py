"""A file or folder of another project, read as one correctness table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from router.importers.formats import FORMATS, KEPT, TableFormat, format_of
from router.records import Part, RecordError, parts
from router.row import Row, TableError
from router.table import Table


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """What was read, and as what."""

    table: Table
    format: str
    records: int


def import_table(path: str | Path, format: str | None = None) -> ImportedTable:
    """Read a routing table; its format by its columns unless it is named.

    Raises TableError naming file, row and column.
    """
    path = Path(path)
    chosen = next((one for one in FORMATS if one.name == format), None)
    if format is not None and chosen is None:
        raise TableError(f"format: there is no {format!r}; there are {', '.join(one.name for one in FORMATS)}")
    try:
        records = _Records(parts(path))
        first = next(records, None)
        if first is None:
            raise TableError(f"{path}: holds no record")
        used: TableFormat = chosen or format_of(first[1], first[0])
        rows = used.read(chain([first], records))
    except RecordError as error:
        raise TableError(str(error)) from error
    if not rows:
        raise TableError(f"{path}: no record has a score")
    try:
        return ImportedTable(Table.from_rows(rows), used.name, records.count)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


class _Records(Iterator[tuple[str, dict[str, Any]]]):
    """(place, record) of all parts, counted; a part's split stands in its records where they name none."""

    def __init__(self, found: list[Part]) -> None:
        self.count = 0
        self._each = self._of(found)

    def __next__(self) -> tuple[str, dict[str, Any]]:
        found = next(self._each)
        self.count += 1
        return found

    @staticmethod
    def _of(found: list[Part]) -> Iterator[tuple[str, dict[str, Any]]]:
        for part in found:
            for number, record in part.records():
                yield part.place(number), record if part.split is None else {"split": part.split, **record}


def export_rows(rows: tuple[Row, ...], experts: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One record per question and expert that was scored: the long form that other projects read."""
    for row in rows:
        costs = row.extra.get("cost")
        for name in experts:
            if name not in row.correct:
                continue
            record: dict[str, Any] = {"prompt_id": row.id, "prompt": row.question, "model": name}
            record |= {"score": row.correct[name]}
            if isinstance(costs, dict) and name in costs:
                record["cost"] = costs[name]
            if name in row.predictions:
                record["prediction"] = row.predictions[name]
            fields = {"task": row.task, "category": row.category, "split": row.split, "ground_truth": row.answer}
            fields |= {key: row.extra.get(key) for key in KEPT}
            yield record | {key: value for key, value in fields.items() if value is not None}
