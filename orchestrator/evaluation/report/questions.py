"""Every question of a run with everybody's answers, packed for the page's list: compressed JSON, of which a script
draws the rows that are in sight."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

from orchestrator.evaluation.report.data import RunReport, SampleAnswer
from orchestrator.evaluation.report.formats import clipped
from orchestrator.evaluation.report.views import View

LONGEST_TEXT = 4_000
"""Characters of one text."""
REPLIES_BUDGET = 24_000_000
"""Characters of all replies' texts in a page, which compression makes about a fifth; answers are always there."""


def questions(report: RunReport) -> View | None:
    """The questions with their replies; None if there are none."""
    if not report.samples:
        return None
    methods = {result.method for result in report.methods}
    names = list(dict.fromkeys(name for sample in report.samples for name in sample.answers))
    who = [*(name for name in names if name in methods), *(name for name in names if name not in methods)]
    tasks = list(dict.fromkeys(sample.task for sample in report.samples))
    texts = _Texts(REPLIES_BUDGET)
    rows = [
        [
            sample.id,
            tasks.index(sample.task),
            clipped(sample.question, LONGEST_TEXT),
            sample.gold,
            sample.choices,
            [[line.expert, line.score, line.reason] for line in sample.ranking],
            [texts.answer(sample.answers.get(name)) for name in who],
        ]
        for sample in report.samples
    ]
    return {
        "count": len(rows),
        "ranked": any(sample.ranking for sample in report.samples),
        "left_out": texts.left_out,
        "tasks": tasks,
        "who": who,
        "packed": packed({"who": who, "methods": sum(name in methods for name in who), "tasks": tasks, "rows": rows}),
    }


class _Texts:
    """Replies' texts until the budget is spent; those that are the same as another's count once."""

    def __init__(self, budget: int) -> None:
        self._room = budget
        self._known: set[str] = set()
        self.left_out = 0

    def answer(self, one: SampleAnswer | None) -> list[Any] | None:
        """[outcome, answer, confidence, text], as the page's script reads it."""
        if one is None:
            return None
        outcome = one.outcome or ("1" if one.right else "0" if one.answer is not None else "u")
        text: str | None = clipped(one.text, LONGEST_TEXT)
        if text not in self._known:
            self._room -= len(text or "")
            if self._room < 0:
                self.left_out += 1
                text = None
            else:
                self._known.add(text or "")
        answer = None if one.answer is None else clipped(one.written or one.answer, 200)
        return [outcome, answer, one.confidence, text]


def packed(data: dict[str, Any] | Sequence[Any]) -> str:
    """JSON, compressed, in letters that are safe in a page."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()
