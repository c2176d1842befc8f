"""How a source is laid out: which column holds what, and how gold answers name options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.question import AnswerKind
from orchestrator.evaluation.tasks import golds, options
from orchestrator.evaluation.tasks.cells import CellError, cell
from orchestrator.evaluation.tasks.options import Options

_LABELLED = re.compile(r"^[(\[]?([A-Za-z]|\d{1,2})[)\].:]\s*(\S.*)$", re.DOTALL)
EMPTY: tuple[Any, ...] = (None, "", [])
SCORES = "target_scores"
"""BIG-bench's column: a score for each option."""


@dataclass(frozen=True)
class QuestionLayout:
    """Which column holds what, and how gold answers are read."""

    question: str
    answer: str | None = None
    solution: str | None = None
    """A worked solution, which only training may see."""
    choices: tuple[str, ...] = ()
    option_labels: tuple[str, ...] = ()
    """Labels, where each option has its own column."""
    labels: str | None = None
    wrong: str | None = None
    """A list of the wrong options, where the gold answer stands in a column of its own."""
    id: str | None = None
    split: str | None = None
    task: str | None = None
    skills: str | None = None
    context: str | None = None
    input: str | None = None
    """What stands behind the question: Alpaca's `input`, a program's tests."""
    ask: str | None = None
    """A sentence behind every question."""
    images: tuple[str, ...] = ()
    kind: AnswerKind | None = None
    answer_is: str = "label"
    answer_after: str | None = None
    answer_before: str | None = None
    boxed: bool = False
    reordered: bool = False
    """The options are put in an order that the question's text decides: in the source the right one stands first."""
    in_question: bool = False
    """The options stand in the question's text."""
    reasons: tuple[str, ...] = ()

    def options_of(self, record: Mapping[str, Any]) -> Options | None:
        """The record's options. Raises CellError."""
        if self.option_labels:
            key = f"{self.choices[0]}..{self.choices[-1]}"
            return options.from_cells([cell(record, name) for name in self.choices], self.option_labels, key)
        if self.wrong is not None:
            return options.with_right(cell(record, str(self.answer)), cell(record, self.wrong), self.wrong)
        if not self.choices:
            return options.scored(cell(record, SCORES), SCORES) if self.answer == SCORES else None
        labels = cell(record, self.labels) if self.labels else None
        found = options.read(cell(record, self.choices[0]), self.choices[0], labels)
        if found is None or found.right is not None or self.answer is None:
            return found
        return options.one_hot(cell(record, self.answer), found)

    def golds_of(self, record: Mapping[str, Any]) -> list[str]:
        """The gold answers as the file writes them, cut to what the marks leave. Raises CellError."""
        key = str(self.answer)
        if "|" in key:
            parts = [golds.values(one, name) for name in key.split("|") if (one := cell(record, name)) not in EMPTY]
            found = [text for part in parts for text in part]
            if not found:
                raise CellError(key, "no gold answer: the cells are empty")
        else:
            found = golds.values(cell(record, key), key)
        if self.answer_after is not None:
            found = [self._after(one, self.answer_after, key) for one in found]
        if self.answer_before is not None:
            found = [one.split(self.answer_before, 1)[0].strip() for one in found]
        if self.boxed:
            found = [self._boxed(one, key) for one in found]
        return found

    def solution_of(self, record: Mapping[str, Any]) -> str:
        """The record's worked solution: its column, or what stands in front of the mark of the gold answer."""
        if self.solution is not None:
            found = cell(record, self.solution)
            return found.strip() if isinstance(found, str) else ""
        if self.answer_after is None or "|" in str(self.answer):
            return ""
        found = cell(record, str(self.answer))
        if not isinstance(found, str) or self.answer_after not in found:
            return ""
        return found.rsplit(self.answer_after, 1)[0].strip()

    @staticmethod
    def _after(text: str, mark: str, key: str) -> str:
        if mark not in text:
            raise CellError(key, f"no {mark!r} in it, which stands in front of the other gold answers")
        after = text.rsplit(mark, 1)[1].strip()
        if not after:
            raise CellError(key, f"nothing follows {mark!r}")
        return after

    @staticmethod
    def _boxed(text: str, key: str) -> str:
        found = golds.last_boxed(text)
        if not found:
            raise CellError(key, "no \\boxed{...} in it, as the other gold answers have")
        return found


def named_label(gold: str, found: Options) -> str | None:
    """The label that a gold answer is, alone or in front of its option's text ("B. blue"); None for another text."""
    bare = gold.strip().strip("()[].:").casefold()
    exact = next((label for label in found.labels if label.casefold() == bare), None)
    if exact is not None:
        return exact
    match = _LABELLED.match(gold.strip())
    if match is None:
        return None
    text = found.mapping.get(match.group(1)) or found.mapping.get(match.group(1).upper())
    named = next((label for label in found.labels if label.casefold() == match.group(1).casefold()), None)
    return named if text is not None and _bare(text) == _bare(match.group(2)) else None


def chosen_label(gold: str, found: Options, answer_is: str) -> str | None:
    """The label of the option that a gold answer names; None where it names none, or several."""
    if answer_is == "label":
        return named_label(gold, found)
    if answer_is == "text":
        wanted = " ".join(gold.split())
        exact = [label for label, text in found.mapping.items() if " ".join(text.split()) == wanted]
        same = exact or [label for label, text in found.mapping.items() if _bare(text) == _bare(gold)]
        return same[0] if len(same) == 1 else None
    place = int(gold) - (answer_is == "from1") if gold.lstrip("-").isdigit() else -1
    return found.labels[place] if 0 <= place < len(found.labels) else None


def _bare(text: str) -> str:
    """Without what a hand that copies a text changes: case, spaces, the full stop."""
    return " ".join(text.casefold().split()).rstrip(".")
