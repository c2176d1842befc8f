"""A source of questions: files, a folder, a dataset; understood once, then read question by question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks.cells import CellError, unescaped
from orchestrator.evaluation.tasks.column_decision import SAMPLE, decide
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.layout import QuestionLayout
from orchestrator.evaluation.tasks.rows import QuestionMaker
from router.records import RecordError, parts


class SourcePart(Protocol):
    """Records that can be read from the start any number of times."""

    @property
    def split(self) -> str | None:
        """The split that the records belong to, if the part knows it."""
        ...

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The records with their row numbers, counted from 0."""
        ...

    def place(self, number: int) -> str:
        """Where a record is, for an error."""
        ...


@dataclass(frozen=True)
class QuestionSource:
    """Where questions come from, and how they are read."""

    name: str
    task: str
    """Of questions that name none."""
    parts: Sequence[SourcePart]
    columns: Columns

    @classmethod
    def of_files(cls, name: str, columns: Columns) -> QuestionSource:
        """A file or folder. Raises BadInput where it cannot be read."""
        path = Path(name).expanduser()
        try:
            return cls(name, path.name.split(".")[0], parts(path), columns)
        except RecordError as error:
            raise BadInput(str(error)) from error

    @cached_property
    def layout(self) -> QuestionLayout:
        """Decided on the first records of every part. Raises BadInput."""
        sample: list[Mapping[str, Any]] = []
        places: list[str] = []
        escaped = False
        share = max(1, SAMPLE // max(1, len(self.parts)))
        try:
            for part in self.parts:
                for number, record in islice(part.records(), share):
                    sample.append(unescaped(record))
                    escaped = escaped or sample[-1] is not record
                    places.append(part.place(number))
            if not sample:
                raise BadInput(f"{self.name}: no questions in it")
            layout = decide(sample, places, self.columns)
            if escaped:
                layout = replace(layout, reasons=(*layout.reasons, "HTML's entities (&quot;) are read as their signs"))
            return layout
        except RecordError as error:
            raise BadInput(str(error)) from error
        except CellError as error:
            reason = str(error)
            placed = reason.startswith(tuple({str(place) for place in places}))
            raise BadInput(reason if placed else f"{places[0] if len(places) == 1 else self.name}: {reason}") from None

    def questions(self) -> Iterator[Question]:
        """All questions, one at a time. Raises BadInput naming file, line or row, and key."""
        make = QuestionMaker(self.layout, self.task)
        seen: set[int] = set()
        several = len(self.parts) > 1
        for order, part in enumerate(self.parts):
            stem = f"{self.task}-{part.split or order}" if several else self.task
            split = part.split
            number = 0
            try:
                for number, record in part.records():
                    question = make(unescaped(record), f"{stem}-{number}", split)
                    # Eight bytes and not the id: a million ids would be most of the memory that reading takes.
                    mark = hash((question.id, question.split if several else None))
                    if mark in seen:
                        raise CellError("id", f"{question.id!r} occurs twice")
                    seen.add(mark)
                    yield question
            except CellError as error:
                raise BadInput(f"{part.place(number)}: {error}") from None
            except RecordError as error:
                raise BadInput(str(error)) from error
