"""`collegium cluster`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.evaluation.report.clusters import dendrogram, similarity_table
from orchestrator.evaluation.report.data import Clustering
from orchestrator.evaluation.report.formats import plain
from orchestrator.pipelines.cluster import ClusterRequest


def show(console: Console, found: Clustering) -> None:
    """Matrix, dendrogram and clusters."""
    console.print(similarity_table(found))
    console.print()
    console.print(dendrogram(found, min(console.width, 100)), soft_wrap=True)
    console.print()
    for place, group in enumerate(found.clusters, 1):
        console.print(Text(f"{place}. {plain(', '.join(group))}"))


def show_finished(console: Console, finished: Finished[ClusterRequest, Clustering]) -> None:
    """Display a clustering and its report's path."""
    show(console, finished.result)
    console.print(f"Report: {finished.report}", soft_wrap=True)


def document(finished: Finished[ClusterRequest, Clustering]) -> dict[str, Any]:
    """A clustering as JSON."""
    return {"report": str(finished.report), **finished.result.model_dump(mode="json")}


command = pipeline_command("cluster", show_finished, document)
