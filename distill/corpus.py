"""From files of transcripts to a file of lessons, and that file read at any place: memory stays bounded.

Each transcript is read, turned into its lesson and forgotten; what stays in memory is eight bytes a lesson (its place
in the file) and the counts. What was dropped, and by which rule, is counted and named.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.transcript import Transcript
from distill.errors import LessonError
from distill.graph import interaction_graph, unusable
from distill.pairs import Lesson, Selection, lesson

EXAMPLES = 5
"""Question ids kept for each rule."""


class DroppedTranscripts(BaseModel):
    """How often a rule left something out, and of which questions (a few)."""

    model_config = ConfigDict(extra="forbid")

    count: int = 0
    examples: list[str] = Field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more, and keep its question id while there are few."""
        self.count += 1
        if len(self.examples) < EXAMPLES and example not in self.examples:
            self.examples.append(example[:200])


class CorpusSummary(BaseModel):
    """What became of the transcripts."""

    model_config = ConfigDict(extra="forbid")

    transcripts: int = 0
    lessons: int = 0
    texts: int = 0
    pairs: int = 0
    nodes: int = 0
    edges: int = 0
    tasks: Counter[str] = Field(default_factory=Counter, description="Lessons by task.")
    teachers: Counter[str] = Field(default_factory=Counter, description="Model -> replies in usable transcripts.")
    discussions: Counter[str] = Field(default_factory=Counter)
    generated: int = Field(default=0, description="Tokens that the agents generated.")
    own: Counter[str] = Field(
        default_factory=Counter, description="Level on-policy: the student's own replies, right, wrong, unread or cut."
    )
    questions_dropped: dict[str, DroppedTranscripts] = Field(default_factory=dict)
    replies_dropped: dict[str, DroppedTranscripts] = Field(default_factory=dict)

    def bad_line(self, error: Exception) -> None:
        """Count a line that is no transcript."""
        self.transcripts += 1
        self._dropped(self.questions_dropped, "a line that is no transcript", str(error))

    def took(self, transcript: Transcript, found: Lesson | str) -> None:
        """Count one transcript and what became of it."""
        self.transcripts += 1
        self.generated += sum(turn.completion_tokens for turn in transcript.turns)
        self.discussions[transcript.discussion] += 1
        if isinstance(found, str):
            self._dropped(self.questions_dropped, found, transcript.question.id)
            return
        self.lessons += 1
        self.texts += len(found.texts)
        self.pairs += len(found.pairs)
        self.nodes += len(found.nodes)
        self.edges += len(found.edges)
        self.tasks[found.task] += 1
        for turn in transcript.turns:
            self.teachers[transcript.seats[turn.seat].model] += turn.error is None

    def reply_dropped(self, rule: str, question: str) -> None:
        """Count one reply that the rule `rule` left out."""
        self._dropped(self.replies_dropped, rule, question)

    def why_none(self) -> str:
        """Why lessons were left out, each reason with its number and an example, in one line."""
        reasons = [
            f"{dropped.count} {what} ({rule}; {dropped.examples[0][:80]!r})"
            for what, rules in (("questions", self.questions_dropped), ("replies", self.replies_dropped))
            for rule, dropped in rules.items()
        ]
        return f"of {self.transcripts} transcripts: {'; '.join(reasons)}" if reasons else "there are no transcripts"

    @staticmethod
    def _dropped(where: dict[str, DroppedTranscripts], rule: str, example: str) -> None:
        where.setdefault(rule, DroppedTranscripts()).add(example)


def prepare(
    transcripts: Iterable[Transcript],
    selection: Selection,
    out: Path,
    tokens: Callable[[str], int],
    sifted: CorpusSummary | None = None,
) -> CorpusSummary:
    """Write the lessons of the transcripts to `out`, one a line, in their order; what became of them.

    A question that occurs in several transcripts is learnt from all of them. Raises OSError.
    """
    sifted = sifted or CorpusSummary()
    with out.open("wb") as file:
        for transcript in transcripts:
            name = transcript.question.id
            for turn in transcript.turns:
                if rule := unusable(turn):
                    sifted.reply_dropped(rule, name)
            rules: list[str] = []
            found = lesson(interaction_graph(transcript), selection, tokens, rules.append)
            for rule in rules:
                sifted.reply_dropped(rule, name)
            if isinstance(found, Lesson):
                file.write(found.model_dump_json(exclude_defaults=True).encode() + b"\n")
            sifted.took(transcript, found)
    return sifted


class Corpus:
    """A file of lessons, read one at a time from any place.

    `validation`: the share of questions that is held out, decided by their ids. Raises `LessonError`.
    """

    def __init__(self, path: Path, validation: float = 0.0) -> None:
        self.path = path
        self._file = path.open("rb")
        self._train, self._held_out = array("q"), array("q")
        for place, row in self._rows():
            (self._held_out if _held_out(row, validation) else self._train).append(place)
        if not self._train:
            self._file.close()
            raise LessonError(f"{path}: no lessons to train on")

    def __len__(self) -> int:
        return len(self._train)

    @property
    def held_out(self) -> int:
        """How many lessons are for validation."""
        return len(self._held_out)

    def __getitem__(self, index: int) -> Lesson:
        return self._at(self._train[index])

    def validation(self, limit: int) -> Iterator[Lesson]:
        """The first held-out lessons."""
        yield from (self._at(place) for place in self._held_out[:limit])

    def close(self) -> None:
        """Close the file of lessons."""
        self._file.close()

    def _rows(self) -> Iterator[tuple[int, bytes]]:
        place = 0
        for row in self._file:
            yield place, row
            place += len(row)

    def _at(self, place: int) -> Lesson:
        self._file.seek(place)
        return _parsed(self._file.readline(), f"{self.path}, byte {place}")


def _parsed(row: bytes, where: str) -> Lesson:
    try:
        return Lesson.model_validate_json(row)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise LessonError(f"{where}: {key + ': ' if key else ''}{first['msg']}") from error


def _held_out(row: bytes, share: float) -> bool:
    """By the prompt's hash: a question stays on its side, whichever transcripts and levels it comes from."""
    if share <= 0:
        return False
    name = json.dumps(json.loads(row)["messages"])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32 < share
