"""Correctness tables: which expert answered which question how well.

A table is JSON Lines (`.gz` too), a question a row:
`{"id", "question", "split"?, "task"?, "category"?, "skills"?, "answer"?, "predictions"?: {expert: answer},
"correct": {expert: 0..1}}`. Other keys are kept as they are. Everything in the file is foreign: every error
is a `TableError` that names the file, the row (counted from 1, as an editor counts lines) and the key.
"""

from __future__ import annotations

import difflib
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.row import Row, TableError, read_rows


@dataclass(frozen=True)
class Table:
    """Rows and the experts they speak of. Index i of `rows`, `ids`, `questions`, `correct` is question i."""

    rows: tuple[Row, ...]
    experts: tuple[str, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[Row], experts: Sequence[str] | None = None) -> Table:
        """Collect rows. Without `experts`, they are all that occur, in order of appearance.

        Raises TableError for no rows, a duplicate id, or an expert that is not in `experts`.
        """
        rows = tuple(rows)
        return cls(*_collect(rows, experts, [f"row {number}" for number in range(1, len(rows) + 1)]))

    @classmethod
    def read(cls, path: str | Path, experts: Sequence[str] | None = None) -> Table:
        """Read a table file. `experts`: those of a fitted router; any other in the file is then an error."""
        path = Path(path)
        numbered = list(read_rows(path))
        if not numbered:
            raise TableError(f"{path}: holds no row")
        rows = tuple(row for _, row in numbered)
        return cls(*_collect(rows, experts, [f"{path}: row {number}" for number, _ in numbered]))

    def write(self, path: str | Path) -> None:
        """Write the table atomically, compressed if the name ends in `.gz`; equal tables give equal bytes."""
        path = Path(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as raw:
                stream = gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) if path.suffix == ".gz" else raw
                for row in self.rows:
                    stream.write(json.dumps(row.as_json(), ensure_ascii=False).encode() + b"\n")
                if stream is not raw:
                    stream.close()
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The question ids, in the order of the rows."""
        return tuple(row.id for row in self.rows)

    @cached_property
    def questions(self) -> tuple[str, ...]:
        """The question texts, in the order of the rows."""
        return tuple(row.question for row in self.rows)

    @cached_property
    def correct(self) -> NDArray[np.float32]:
        """Scores 0..1, float32 [questions, experts]; NaN where an expert was not asked. Read-only."""
        matrix = np.full((len(self.rows), len(self.experts)), np.nan, np.float32)
        column = {name: index for index, name in enumerate(self.experts)}
        for index, row in enumerate(self.rows):
            for name, score in row.correct.items():
                matrix[index, column[name]] = score
        matrix.setflags(write=False)
        return matrix

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of appearance."""
        return tuple(dict.fromkeys(row.split for row in self.rows if row.split is not None))

    def skills(self, fields: Sequence[str] = ()) -> tuple[tuple[str, ...], ...]:
        """Each question's skills: its `skills` tags, or the values of `fields` (`category`, `src`, ...)."""
        if not fields:
            return tuple(row.skills for row in self.rows)
        named = [[row.field_as_skill(key) for key in fields] for row in self.rows]
        return tuple(tuple(dict.fromkeys(value for value in values if value)) for values in named)

    def where(self, keep: Callable[[Row], bool]) -> Table:
        """The rows for which `keep` holds, same experts. Raises TableError if none is left."""
        return self.take([index for index, row in enumerate(self.rows) if keep(row)])

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> Table:
        """The rows at `indices`, same experts. Raises `TableError` if there is none."""
        if len(indices) == 0:
            raise TableError("no row is left")
        return Table(tuple(self.rows[index] for index in indices), self.experts)

    def split(self, name: str) -> Table:
        """The rows of one split. Raises `TableError` for one that does not exist."""
        if name not in self.splits:
            raise TableError(f"split: there is no {name!r}; the table has {', '.join(self.splits) or 'none'}")
        return self.where(lambda row: row.split == name)

    def select_experts(self, names: Sequence[str]) -> Table:
        """The same questions with these experts only, in this order. Raises TableError for an unknown one."""
        for name in names:
            if name not in self.experts:
                raise TableError(_unknown(name, self.experts))
        chosen = dict.fromkeys(names)
        rows = tuple(
            replace(
                row,
                correct={name: row.correct[name] for name in chosen if name in row.correct},
                predictions={name: row.predictions[name] for name in chosen if name in row.predictions},
            )
            for row in self.rows
        )
        return Table(rows, tuple(chosen))

    def add_experts(self, names: Sequence[str]) -> Table:
        """The same table with further experts that have no profile yet: routers rank them by their prior."""
        return Table(self.rows, tuple(dict.fromkeys([*self.experts, *names])))


def _collect(
    rows: tuple[Row, ...], experts: Sequence[str] | None, places: Sequence[str]
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Check what single rows cannot know; `places[i]` says where row i stands."""
    if not rows:
        raise TableError("a correctness table needs at least one row")
    seen: dict[str, str] = {}
    for place, row in zip(places, rows, strict=True):
        if row.id in seen:
            raise TableError(f"{place}: id: {row.id!r} stands already at {seen[row.id]}")
        seen[row.id] = place
    known = dict.fromkeys(experts if experts is not None else (name for row in rows for name in row.correct))
    for place, row in zip(places, rows, strict=True):
        for key, names in (("correct", row.correct), ("predictions", row.predictions)):
            for name in names:
                if name not in known:
                    raise TableError(f"{place}: {key}.{name}: {_unknown(name, known)}")
    if not known:
        raise TableError("no row has a score of any expert under `correct`")
    return rows, tuple(known)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"the expert {name!r} is unknown" + (f"; did you mean {near[0]!r}?" if near else "")
