"""Learning from use: an append-only log of verdicts on answers, folded into a correctness table.

A log is JSON Lines beside the table: `{"version": n, "question": text, "expert": name, "score": 0..1, "skills": [..]}`
adds a verdict, `{"version": n, "undo": m}` takes version m back. Nothing is ever rewritten, so every earlier state
can be had again by its version.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.row import Row, TableError
from router.table import Table


@dataclass(frozen=True, slots=True)
class FeedbackVerdict:
    """Somebody judged one expert's answer to one question."""

    version: int
    question: str
    expert: str
    score: float
    skills: tuple[str, ...] = ()


class Feedback(ABC):
    """Verdicts in the order in which they were given, wherever they are kept."""

    name: str
    """As errors name it."""

    def add(self, question: str, expert: str, score: float, skills: Sequence[str] = ()) -> int:
        """Append a verdict, durably; its version. Raises ValueError for empty texts or a score outside 0..1."""
        if not question.strip() or not expert:
            raise ValueError("feedback needs a question and an expert")
        if not math.isfinite(score) or not 0 <= score <= 1:
            raise ValueError(f"score must be from 0 to 1, is {score}")
        return self._append({"question": question, "expert": expert, "score": score, "skills": list(skills)})

    def undo(self, version: int) -> int:
        """Take a verdict back; the version of the taking back. Raises ValueError unless it stands now."""
        if version not in {verdict.version for verdict in self.verdicts()}:
            raise ValueError(f"{self.name}: version {version} is no verdict that stands")
        return self._append({"undo": version})

    @property
    def version(self) -> int:
        """The latest version; 0 for an empty log."""
        return len(self.entries())

    def verdicts(self, version: int | None = None) -> tuple[FeedbackVerdict, ...]:
        """Verdicts that stood at `version` (None: now), oldest first. Raises `TableError` for a row that is no
        verdict."""
        standing: dict[int, FeedbackVerdict] = {}
        for number, entry in enumerate(self.entries()[:version], 1):
            if "undo" in entry:
                standing.pop(entry["undo"], None)
                continue
            try:
                skills = tuple(str(skill) for skill in entry["skills"])
                standing[number] = FeedbackVerdict(
                    number, str(entry["question"]), str(entry["expert"]), float(entry["score"]), skills
                )
            except (KeyError, TypeError, ValueError) as error:
                raise TableError(f"{self.name}: row {number}: not a verdict: {error!r}") from None
        return tuple(standing.values())

    def apply(self, table: Table, version: int | None = None) -> Table:
        """The table with a further row for each question judged, where several verdicts on an expert are averaged.

        An expert that the table does not know is added to it.
        """
        scores: dict[str, dict[str, list[float]]] = {}
        skills: dict[str, tuple[str, ...]] = {}
        for verdict in self.verdicts(version):
            scores.setdefault(verdict.question, {}).setdefault(verdict.expert, []).append(verdict.score)
            skills[verdict.question] = verdict.skills or skills.get(verdict.question, ())
        rows = [
            Row(
                f"feedback-{hashlib.sha256(question.encode(errors='replace')).hexdigest()[:16]}",
                question,
                {expert: sum(found) / len(found) for expert, found in by_expert.items()},
                skills=skills[question],
                extra={"feedback": True},
            )
            for question, by_expert in scores.items()
        ]
        experts = dict.fromkeys([*table.experts, *(expert for row in rows for expert in row.correct)])
        return Table.from_rows([*table.rows, *rows], tuple(experts))

    @abstractmethod
    def stamp(self) -> int:
        """0 while there is nothing; changes with every entry. Cheap."""

    @abstractmethod
    def entries(self) -> list[dict[str, Any]]:
        """All entries, the first version first. Raises `TableError` where they are damaged."""

    @abstractmethod
    def _append(self, entry: dict[str, Any]) -> int:
        """Keep an entry, durably; its version."""


class FeedbackLog(Feedback):
    """One log file, written by one process at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(path)

    def stamp(self) -> int:
        """The file's size."""
        return self.path.stat().st_size if self.path.exists() else 0

    def entries(self) -> list[dict[str, Any]]:
        """See `Feedback`."""
        if not self.path.exists():
            return []
        entries = []
        lines = self.path.read_bytes().split(b"\n")
        # A line cut short by a crash was never acknowledged: it has no newline and is not read.
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict) or entry.get("version") != number:
                    raise ValueError(f"version {number} expected")
            except ValueError as error:
                raise TableError(f"{self.path}: row {number}: {error}") from None
            entries.append(entry)
        return entries

    def _append(self, entry: dict[str, Any]) -> int:
        version = self.version + 1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(json.dumps({"version": version, **entry}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return version
