"""Unlearning by retiring: which experts know a task, and what a mixture without them still knows of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import BadInput
from router.estimate import Difference, Estimate, Resamples
from router.row import Row
from router.table import Table

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UnlearnedSet:
    """Tested questions of some tasks, before and after experts left."""

    tasks: tuple[str, ...]
    questions: int
    before: Estimate
    after: Estimate
    change: Difference
    possible: Estimate
    """Share that at least one remaining expert has right: no choice among them gets more."""


def skill(row: Row) -> str | None:
    """What a question is about, as its row says."""
    return row.task or row.category


def knowing(table: Table, tasks: Collection[str], floor: float) -> list[str]:
    """The experts whose accuracy on these tasks is above the floor (share, 0 to 1). Raises `BadInput` for none and for
    all."""
    rows = [number for number, row in enumerate(table.rows) if skill(row) in tasks]
    if not rows:
        raise BadInput(f"forget: no question to decide on is of {', '.join(tasks)}")
    share = _accuracies(table, rows)
    found = [name for name in table.experts if share[name] > floor]
    best = max(share, key=lambda name: share[name])
    if not found:
        raise BadInput(f"forget: no expert knows it: the best, {best}, has {share[best]:.1%} (floor {floor:.0%})")
    if len(found) == len(table.experts):
        raise BadInput(f"forget: every expert is above the floor of {floor:.0%}: none would remain; raise floor")
    return found


def strengths(table: Table, retired: Sequence[str]) -> tuple[str, ...]:
    """Tasks at which a retired expert is the best, or as good as the best."""
    found = []
    for task in dict.fromkeys(skill(row) for row in table.rows):
        share = _accuracies(table, [number for number, row in enumerate(table.rows) if skill(row) == task])
        if task is not None and 0 < max(share.values()) == max(share[name] for name in retired):
            found.append(task)
    return tuple(found)


def unlearned(
    table: Table, inside: NDArray[np.bool_], remaining: Sequence[str], before: Floats, after: Floats
) -> UnlearnedSet | None:
    """What the rows `inside` [questions] show, where the mixture's answers scored `before` and `after` [questions];
    None for no row."""
    rows = np.flatnonzero(inside)
    if not len(rows):
        return None
    part = table.take(rows)
    possible = np.nan_to_num(part.select_experts(remaining).correct).max(1).astype(np.float64)
    drawn = Resamples(part.questions)
    estimates = drawn.estimates([before[rows], after[rows], possible])
    (change,) = drawn.differences([(after[rows], before[rows])])
    tasks = tuple(one for one in dict.fromkeys(skill(row) for row in part.rows) if one is not None)
    return UnlearnedSet(tasks, len(rows), estimates[0], estimates[1], change, estimates[2])


def _accuracies(table: Table, rows: Sequence[int]) -> Mapping[str, float]:
    """Expert -> mean score on these rows, over those that it was asked; 0 where it was asked none."""
    correct = table.correct[list(rows)]
    asked = np.maximum((~np.isnan(correct)).sum(0), 1)
    return dict(zip(table.experts, (np.nan_to_num(correct).sum(0) / asked).tolist(), strict=True))
