"""What the sections on clusters and searches show; see views.py."""

from __future__ import annotations

from typing import Any

from orchestrator.evaluation.report.clusters import dendrogram_order
from orchestrator.evaluation.report.data import Clustering, RunReport, Search
from orchestrator.evaluation.report.views import View

MAX_EXPERTS = 40
"""Rows and columns of the matrix on the page; results.json has all."""
MAX_TRIALS = 2_000


def clusters(report: RunReport) -> View | None:
    """The clustering's matrix and dendrogram; None if the run has none."""
    found = report.clustering
    if found is None:
        return None
    order = list(dendrogram_order(found))
    place = {name: index for index, name in enumerate(found.experts)}
    displayed = order[:MAX_EXPERTS]
    rows = [(name, [found.values[place[name]][place[other]] for other in displayed]) for name in displayed]
    return {
        "clustering": found,
        "compared": sorted(set(found.compared)),
        "names": displayed,
        "rows": rows,
        "left_out": len(order) - len(displayed),
        "chart": {"order": order, "threshold": found.threshold, "links": _links(found, order)},
    }


def _links(found: Clustering, order: list[str]) -> list[dict[str, Any]]:
    """The dendrogram's brackets: two arms, from each group's own fork to where they join."""
    row = {name: float(index) for index, name in enumerate(order)}
    middle: dict[tuple[str, ...], tuple[float, float]] = {(name,): (row[name], 1.0) for name in order}
    links = []
    for fork in found.forks:
        (top, top_at), (bottom, bottom_at) = middle[tuple(fork.left)], middle[tuple(fork.right)]
        at = min(fork.similarity, top_at, bottom_at)
        links.append({"y1": top, "x1": top_at, "y2": bottom, "x2": bottom_at, "at": at})
        middle[tuple(sorted((*fork.left, *fork.right)))] = ((top + bottom) / 2, at)
    return links


def glue(report: RunReport) -> View | None:
    """The searches of the new zoo and their curves; None if the run has none."""
    found = report.glue
    if found is None:
        return None
    searches = [
        {
            "search": search,
            "weights": sorted(search.weights.items(), key=lambda item: -item[1]),
            "dropped": [name for name in search.sources if name not in search.weights],
        }
        for search in found.searches
    ]
    return {"glue": found, "searches": searches, "chart": [_curve(search) for search in found.searches]}


def _curve(search: Search) -> dict[str, Any]:
    trials = [
        {"number": number, "score": trial.score, "questions": trial.questions, "stage": trial.stage, "best": trial.best}
        | {"merge": ", ".join(f"{name} {weight:g}" for name, weight in list(trial.weights.items())[:12])}
        for number, trial in enumerate(search.trials[:MAX_TRIALS], 1)
    ]
    return {"name": search.name, "trials": trials, "full": search.questions}
