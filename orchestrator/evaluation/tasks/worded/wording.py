"""A task whose splits have wordings, names and things of their own: facts drawn alike for all, worded apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Generic, TypeVar

from agents.question import AnswerKind
from orchestrator.evaluation.tasks.task import SPLITS, Draft, Task, TaskSplit
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES, SplitVocabulary

W = TypeVar("W")
"""A wording: a text with slots in braces, or several that belong together."""


@dataclass(frozen=True, slots=True)
class Wordings(Generic[W]):
    """The wordings of each split. No two splits share one, which keeps their questions apart whatever the seeds."""

    train: tuple[W, ...]
    validation: tuple[W, ...]
    test: tuple[W, ...]

    def of(self, split: TaskSplit) -> tuple[W, ...]:
        """The wordings of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


def worded(
    name: str,
    kind: AnswerKind,
    skills: tuple[str, ...],
    draft: Callable[[Random, SplitVocabulary, W], Draft],
    wordings: Wordings[W],
) -> Task:
    """A task whose `draft` gets a random state, the vocabulary of a split, and one of the wordings of that split."""
    return Task(name, kind, skills, {split: partial(_draw, draft, split, wordings.of(split)) for split in SPLITS})


def _draw(
    draft: Callable[[Random, SplitVocabulary, W], Draft], split: TaskSplit, wordings: tuple[W, ...], rng: Random
) -> Draft:
    return draft(rng, VOCABULARIES[split], rng.choice(wordings))


def near(rng: Random, result: int, half_way: int) -> str:
    """A wrong number: the result of the first step alone, or the right one missed by a little."""
    if half_way != result and rng.random() < 0.3:
        return str(half_way)
    offset = rng.choice((-10, -2, -1, 1, 2, 10))
    return str(result + offset if result + offset > 0 else result - offset)
