"""What the matrix of experts and tasks says: totals, and the oracle that knows each task's best."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.evaluation.report.data import Matrix
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.record import Interval


def pooled(cells: Iterable[Interval]) -> Interval:
    """Accuracy over all the questions of several cells, each question counting once."""
    measured = list(cells)
    n = sum(cell.n for cell in measured)
    return wilson(round(sum(cell.value * cell.n for cell in measured)), n)


def expert_totals(matrix: Matrix) -> dict[str, Interval]:
    """Expert -> accuracy over all tasks."""
    return {expert: pooled(row) for expert, row in zip(matrix.experts, matrix.cells, strict=True)}


def best_cells(matrix: Matrix) -> list[Interval]:
    """Task by task, the best expert's cell."""
    columns = zip(*matrix.cells, strict=True)
    return [max(column, key=lambda cell: cell.value if cell.n else -1.0) for column in columns]


def oracle_total(matrix: Matrix) -> Interval:
    """Accuracy of sending each task to its best expert, chosen on these same questions: it flatters."""
    return pooled(best_cells(matrix))
