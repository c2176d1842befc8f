"""What is left out of a training set: duplicates, and whatever a question of the other splits would leak through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agents.question import Question
from orchestrator.pipelines.growth.worked import Worked

GRAM = 8
"""Words of a run that two questions may share by chance only."""
OVERLAP = 0.8
"""Share of a held-out question's runs that a training question may not have."""
_WORD = re.compile(r"\w+")
_NAMED = re.compile(r"\b[A-Z][a-z]+\b|\d+(?:[.,:/]\d+)*")


@dataclass
class Sifted:
    """A training set, and what was left out of it."""

    kept: list[Worked] = field(default_factory=list)
    duplicates: int = 0
    leaks: int = 0
    """Equal to a held-out question, or made of its runs of words."""
    alike: int = 0
    """Held-out questions that equal a training question but for names and numbers: told, not left out."""


def sift(worked: Iterable[Worked], held_out: Sequence[Question]) -> Sifted:
    """Leave out what repeats a question, or stands in `held_out`, whole or in runs of `GRAM` words."""
    found = Sifted()
    exact = {_plain(question) for question in held_out}
    runs = [run for question in held_out if (run := _runs(_plain(question)))]
    seen: set[str] = set()
    holders: dict[tuple[str, ...], list[int]] = {}
    for place, run in enumerate(runs):
        for gram in run:
            holders.setdefault(gram, []).append(place)
    for one in worked:
        text = _plain(one.question)
        if text in seen:
            found.duplicates += 1
        elif text in exact or _covers(_runs(text), runs, holders):
            found.leaks += 1
        else:
            found.kept.append(one)
        seen.add(text)
    shapes = {_shape(one.question.question) for one in found.kept}
    found.alike = sum(_shape(question.question) in shapes for question in held_out)
    return found


def _covers(
    own: set[tuple[str, ...]], runs: Sequence[set[tuple[str, ...]]], holders: dict[tuple[str, ...], list[int]]
) -> bool:
    """Whether `own` has most runs of one held-out question."""
    shared: dict[int, int] = {}
    for gram in own:
        for place in holders.get(gram, ()):
            shared[place] = shared.get(place, 0) + 1
    return any(count >= OVERLAP * len(runs[place]) for place, count in shared.items())


def _plain(question: Question) -> str:
    """Words alone, with the options: what copying a question changes does not count."""
    options = " ".join((question.choices or {}).values())
    return " ".join(_WORD.findall(f"{question.question} {options}".casefold()))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[place : place + GRAM]) for place in range(len(words) - GRAM + 1)}


def _shape(text: str) -> str:
    """The question without names and numbers."""
    return " ".join(_NAMED.sub("_", text).split())
