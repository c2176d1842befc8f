"""What a source of questions holds, as it was understood: counts, examples, duplicates, leaks between splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from agents.question import Question
from orchestrator.evaluation.tasks.source import QuestionSource
from orchestrator.evaluation.tasks.splits import plan

EXAMPLES = 5


@dataclass
class Repeats:
    """Questions that stand in the source more than once: how many, and the first few pairs of ids."""

    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, first: str, second: str) -> None:
        """Count a repeated question and keep the first few as examples."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((first, second))


@dataclass
class Inspection:
    """One source of questions as it is read."""

    source: str
    reasons: tuple[str, ...]
    split_note: str | None
    splits: dict[str, int]
    kinds: dict[str, int]
    tasks: dict[str, int]
    without_gold: int
    duplicates: Repeats
    """The same question (with the same options) twice in one split."""
    contradictions: Repeats
    """The same question with another gold answer."""
    leaks: dict[str, Repeats]
    """`train and test`: questions that stand in both."""
    first: list[Question]


def inspect(source: QuestionSource, show: int = 3) -> Inspection:
    """Read the whole source. Raises BadInput for a record that cannot be read, with its place."""
    parts = plan(source)
    found = Inspection(source.name, source.layout.reasons, parts.note, {}, {}, {}, 0, Repeats(), Repeats(), {}, [])
    splits, kinds, tasks = Counter[str](), Counter[str](), Counter[str]()
    seen: dict[bytes, tuple[int, int, str]] = {}
    """Hash of a question -> (splits as bits, hash of its gold answer, first id)."""
    for question in source.questions():
        split = parts.of(question)
        splits[split] += 1
        kinds[question.kind] += 1
        tasks[question.task] += 1
        found.without_gold += question.answer is None
        if len(found.first) < show:
            found.first.append(question)
        _compare(question, split, list(splits), seen, found)
    found.splits, found.kinds = dict(splits), dict(kinds)
    found.tasks = dict(tasks.most_common(20))
    return found


def _compare(
    question: Question, split: str, splits: list[str], seen: dict[bytes, tuple[int, int, str]], found: Inspection
) -> None:
    words = " ".join(question.question.casefold().split())
    options = "\0".join(sorted((question.choices or {}).values()))
    mark = hashlib.blake2b(f"{words}\0{options}".encode(errors="replace"), digest_size=8).digest()
    bit = 1 << splits.index(split)
    gold = hash((question.choices or {}).get(str(question.answer), question.answer))
    if mark not in seen:
        seen[mark] = (bit, gold, question.id)
        return
    bits, first_gold, first = seen[mark]
    if first_gold != gold:
        found.contradictions.add(first, question.id)
    if bits & bit:
        found.duplicates.add(first, question.id)
    for number, other in enumerate(splits):
        if bits & (1 << number) and other != split:
            found.leaks.setdefault(f"{other} and {split}", Repeats()).add(first, question.id)
    seen[mark] = (bits | bit, first_gold, first)
