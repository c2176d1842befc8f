"""The questions of one split: as the source names it, under a usual other name, or made where it is missing."""

from __future__ import annotations

import hashlib
import heapq
import logging
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks.source import QuestionSource
from orchestrator.evaluation.tasks.task import split_of

ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
LENT = 0.2
"""Share of the questions that becomes `validation` where a source names no split, or `test` alone."""
_log = logging.getLogger("collegium")


def usual_name(split: str) -> str:
    """`dev` is `validation`; a name that is none of the usual ones is itself."""
    return next((name for name, others in ALIASES.items() if split.casefold() in others), split)


@dataclass(frozen=True)
class SplitPlan:
    """Which questions belong to which split, decided on the whole source."""

    present: tuple[str, ...]
    """Names that the source uses; empty: none."""
    cut: int | None = None
    """Hash of a text below which it is `validation`, where that was made."""
    note: str | None = None
    """What was made, in words."""

    def of(self, question: Question) -> str:
        """The split of a question."""
        own = question.split
        if own is None:
            return "validation" if self.cut is not None and text_hash(question.question) < self.cut else "test"
        name = self._name(own)
        if self.cut is not None and name == "test":
            return "validation" if text_hash(question.question) < self.cut else "test"
        if name == "train" and self.lends:
            made = split_of(question.question)
            return made if made in self.lends else name
        return name

    @property
    def lends(self) -> tuple[str, ...]:
        """What `train` lends: a tenth as `validation`, and a tenth as `test`, where the source has none."""
        names = [self._name(name) for name in self.present]
        return tuple(name for name in ("validation", "test") if name not in names) if "train" in names else ()

    def _name(self, own: str) -> str:
        """The usual name, unless two of the source's splits would get it."""
        name = usual_name(own)
        same = [one for one in self.present if usual_name(one) == name]
        return name if len(same) == 1 else own


def text_hash(text: str) -> int:
    """64 bits of a question's text: equal texts fall on one side of every cut."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8], "big")


def plan(source: QuestionSource) -> SplitPlan:
    """Read the source once to see which splits it has. Raises BadInput for a record that cannot be read."""
    present: dict[str, int] = {}
    unnamed = 0
    hashes = array("Q")
    for question in source.questions():
        if question.split is None:
            unnamed += 1
        else:
            present[question.split] = present.get(question.split, 0) + 1
        if question.split is None or usual_name(question.split) == "test":
            hashes.append(text_hash(question.question))
    if unnamed and present:
        raise BadInput(f"{source.name}: {unnamed} questions name no split, and others do: name it for all or for none")
    names = {usual_name(name) for name in present}
    if not unnamed and not present:
        raise BadInput(f"{source.name}: no questions in it")
    if (unnamed or names == {"test"}) and (cut := _cut(hashes)) is not None:
        lent = sum(one < cut for one in hashes)
        why = "no splits" if unnamed else "no split but test"
        note = f"{why}: {lent} of {len(hashes)} questions, by their text, are `validation`, the others `test`"
        return SplitPlan(tuple(present), cut, note)
    found = SplitPlan(tuple(present))
    if found.lends:
        note = f"no split {' or '.join(found.lends)}: a tenth of `train`, by its text, serves as each"
        return SplitPlan(tuple(present), None, note)
    return found


def _cut(hashes: array[int]) -> int | None:
    """So that a fifth lies below, rounded down; None where that is nothing."""
    count = int(LENT * len(hashes))
    ordered = sorted(hashes)
    cut = ordered[count] if count else 0
    return cut if count and ordered[0] < cut else None


def chosen(
    source: QuestionSource, wanted: str, n: int | None, seed: int, note: Callable[[str], None] = _log.warning
) -> list[Question]:
    """`n` questions of a split in the source's order, which ones by the seed; all where there are fewer, or for None.
    `note` hears which splits were made.

    Raises BadInput for a split that the source has not, naming those it has.
    """
    parts = plan(source)
    if parts.note and wanted in ("validation", "test", "train"):
        note(f"{source.name}: {parts.note}")
    best = _Smallest(n)
    have: set[str] = set()
    for place, question in enumerate(source.questions()):
        own = parts.of(question)
        have.add(own)
        if own == wanted or question.split == wanted != usual_name(wanted):
            best.offer(f"{source.name}/{wanted}/{seed}/{question.id}", place, question)
    found = [one if one.split == wanted else one.model_copy(update={"split": wanted}) for one in best.in_order()]
    if not found:
        hint = "; give the questions a column `split` to have others" if not parts.present else ""
        raise BadInput(f"{source.name} has no split {wanted!r}; it has {', '.join(sorted(have))}{hint}")
    return found


@dataclass
class _Smallest:
    """The `count` questions whose key has the smallest hash, so that no more than these are in memory."""

    count: int | None
    _heap: list[tuple[int, int, Question]] = field(default_factory=list)

    def offer(self, key: str, place: int, question: Question) -> None:
        if self.count is None:
            self._heap.append((0, place, question))
            return
        entry = (-text_hash(key), place, question)
        if len(self._heap) < self.count:
            heapq.heappush(self._heap, entry)
        elif entry[0] > self._heap[0][0]:
            heapq.heapreplace(self._heap, entry)

    def in_order(self) -> Iterator[Question]:
        return (question for _, _, question in sorted(self._heap, key=lambda one: one[1]))
