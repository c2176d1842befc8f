"""What the matrix of experts and tasks says."""

from __future__ import annotations

import pytest

from orchestrator.evaluation.report.data import Matrix
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.matrix import best_cells, expert_totals, oracle_total, pooled
from orchestrator.evaluation.report.record import Interval

NOTHING = Interval(value=0, low=0, high=1, n=0)


def matrix() -> Matrix:
    cells = ((wilson(9, 10), wilson(10, 40)), (wilson(5, 10), wilson(30, 40)), (NOTHING, NOTHING))
    return Matrix(split="validation", seed=0, experts=("a", "b", "c"), tasks=("x", "y"), cells=cells)


def test_each_question_counts_once_however_many_a_task_has() -> None:
    totals = expert_totals(matrix())
    assert (totals["a"].value, totals["a"].n) == (pytest.approx(19 / 50), 50)
    assert totals["b"].value == pytest.approx(35 / 50)
    assert totals["c"].n == 0
    assert pooled([]).n == 0


def test_the_oracle_takes_each_tasks_best_and_never_what_was_not_measured() -> None:
    assert [cell.value for cell in best_cells(matrix())] == [0.9, 0.75]
    assert oracle_total(matrix()).value == pytest.approx(39 / 50)
