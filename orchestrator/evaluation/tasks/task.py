"""A generated task: a seeded source of questions with gold answers, without end and without overlap of splits."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agents.question import AnswerKind, Question
from orchestrator.errors import BadInput

TaskSplit = Literal["train", "validation", "test"]
SPLITS: tuple[TaskSplit, ...] = ("train", "validation", "test")

_MAX_REPEATS = 20_000


@dataclass(frozen=True, slots=True)
class Draft:
    """What a task's generator makes from one random state: the bare parts of a question.

    `solution` is a worked solution of 10 to 60 tokens, without the answer line. `wrong` is a plausible wrong answer.
    """

    question: str
    answer: str
    solution: str
    wrong: str
    choices: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with what only training may see: its worked solution, and a plausible wrong answer."""

    question: Question
    solution: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Task:
    """A generated task."""

    name: str
    kind: AnswerKind
    skills: tuple[str, ...]
    draft: Callable[[random.Random], Draft] | Mapping[TaskSplit, Callable[[random.Random], Draft]]
    """Makes a question from a random state, and from nothing else. One for all splits: the hash of its text decides
    which split a question belongs to. One per split: they must never make the same text."""

    def problems(self, split: TaskSplit, n: int, seed: int = 0) -> list[Problem]:
        """The first `n` problems of an endless sequence that (task, split, seed) decides.

        No question text occurs twice in one sequence, nor in two different splits whatever their seeds: the
        hash of the text decides which split it belongs to (80% train, 10% validation, 10% test), unless each split
        has a `draft` of its own.

        Raises:
            ValueError: an unknown split, a negative `n`, or more questions than the task can make.
        """
        if split not in SPLITS:
            raise BadInput(f"task {self.name!r}: unknown split {split!r}; use one of {', '.join(SPLITS)}")
        if n < 0:
            raise BadInput(f"task {self.name!r}: cannot make {n} questions")
        sequence = self._sequence(split, seed)
        return [next(sequence) for _ in range(n)]

    def questions(self, split: TaskSplit, n: int, seed: int = 0) -> list[Question]:
        """As `problems`, the questions alone."""
        return [problem.question for problem in self.problems(split, n, seed)]

    def _sequence(self, split: TaskSplit, seed: int) -> Iterator[Problem]:
        rng = random.Random(f"{self.name}/{split}/{seed}")
        seen: set[str] = set()
        repeats = 0
        while True:
            draft, foreign = self._draw(rng, split)
            if draft.question in seen or foreign:
                repeats += 1
                if repeats > _MAX_REPEATS:
                    raise BadInput(f"task {self.name!r}: no more than {len(seen)} different {split} questions")
                continue
            repeats = 0
            question = Question(
                id=f"{self.name}-{split}-{seed}-{len(seen)}",
                task=self.name,
                question=draft.question,
                kind=self.kind,
                choices=draft.choices,
                answer=draft.answer,
                skills=self.skills,
                split=split,
            )
            seen.add(draft.question)
            yield Problem(question, draft.solution, draft.wrong)

    def _draw(self, rng: random.Random, split: TaskSplit) -> tuple[Draft, bool]:
        """A draft, and whether it belongs to another split."""
        if isinstance(self.draft, Mapping):
            return self.draft[split](rng), False
        draft = self.draft(rng)
        return draft, split_of(draft.question) != split


def split_of(text: str) -> TaskSplit:
    """The one split that a question text belongs to."""
    bucket = hashlib.sha256(text.encode()).digest()[0] % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"
