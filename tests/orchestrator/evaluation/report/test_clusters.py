"""A clustering in the terminal."""

from __future__ import annotations

from orchestrator.evaluation.report.clusters import dendrogram, similarity_table
from orchestrator.evaluation.report.data import Clustering


def test_a_terminal_shows_matrix_and_dendrogram(by_task_vectors: Clustering) -> None:
    from rich.console import Console

    console = Console(record=True, width=140)
    console.print(similarity_table(by_task_vectors))
    console.print(dendrogram(by_task_vectors))
    lines = console.export_text().splitlines()
    drawn = [line for line in lines if "─" in line]
    assert len(drawn) == len(by_task_vectors.experts)
    assert sum(line.count("┘") for line in drawn) + sum(line.count("│") for line in drawn) > 0
    assert any("threshold 0.95" in line for line in lines)
