"""Who knows a task, and what is left of it: on tables with unasked experts and shared places."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import BadInput
from orchestrator.evaluation.unlearning import knowing, strengths, unlearned
from router.row import Row
from router.table import Table


def table(*rows: tuple[str | None, dict[str, float]]) -> Table:
    found = [Row(f"q{n}", f"text {n}", right, task=task) for n, (task, right) in enumerate(rows)]
    return Table.from_rows(found, ["a", "b", "c"])


def test_an_expert_is_judged_on_what_it_was_asked() -> None:
    asked = table(("t", {"a": 1, "b": 0}), ("t", {"b": 0, "c": 0}), ("u", {"a": 0, "b": 1, "c": 1}))
    assert knowing(asked, ["t"], 0.6) == ["a"]
    with pytest.raises(BadInput, match="no question to decide on"):
        knowing(asked, ["v"], 0.1)


def test_best_and_equally_good_both_make_a_strength_but_nought_does_not() -> None:
    held = table(("t", {"a": 1, "b": 1}), ("u", {"a": 0, "b": 1}), ("v", {"a": 0, "b": 0}), (None, {"a": 1, "b": 0}))
    assert strengths(held, ["a"]) == ("t",)
    assert strengths(held, ["b"]) == ("t", "u")


def test_possible_counts_the_remaining_alone() -> None:
    held = table(("t", {"a": 1, "b": 0, "c": 0}), ("t", {"a": 1, "b": 1, "c": 0}), ("u", {"a": 1, "b": 1, "c": 1}))
    before, after = np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0])
    found = unlearned(held, np.array([True, True, False]), ["b", "c"], before, after)
    assert found is not None
    assert (found.questions, found.before.value, found.after.value, found.possible.value) == (2, 1.0, 0.0, 0.5)
    assert found.change.value == -1
    assert found.tasks == ("t",)
    assert unlearned(held, np.zeros(3, bool), ["b"], before, after) is None
