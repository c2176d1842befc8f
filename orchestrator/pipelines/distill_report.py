"""From what a distillation knows (statistics, graphs, metrics) to the records that its report shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from distill.corpus import CorpusSummary
from distill.graph import nodes
from distill.statistics import CorpusStatistics
from distill.train import StepMetrics
from orchestrator.evaluation.report.distilled import CurvePoint, GraphNode, GraphPicture, Persuasion, RoundResult

if TYPE_CHECKING:
    import networkx

POINTS = 60
"""Points of one loss curve: neighbouring steps are averaged."""
GALLERY = 8
MAX_DRAWN = 60
"""Nodes of one picture; a larger graph is not drawn."""
LOSSES = ("next_token", "node", "margin", "validation")


def curve(metrics: Sequence[StepMetrics]) -> list[CurvePoint]:
    """Loss curves of at most `POINTS` points."""
    size = max(1, -(-len(metrics) // POINTS))
    points = []
    for start in range(0, len(metrics), size):
        part = metrics[start : start + size]
        found = {name: [value for one in part if (value := getattr(one, name)) is not None] for name in LOSSES}
        means = {name: sum(values) / len(values) if values else None for name, values in found.items()}
        points.append(CurvePoint(step=part[-1].step, tokens=part[-1].tokens, **means))
    return points


def panel_rounds(statistics: CorpusStatistics) -> list[RoundResult]:
    """Right, wrong and silent replies by agent and round."""
    return [
        RoundResult(agent=agent, round=number, right=tally.right, wrong=tally.wrong, silent=tally.silent)
        for agent, found in statistics.replies.items()
        for number, tally in sorted(found.items())
    ]


def persuasion(statistics: CorpusStatistics) -> list[Persuasion]:
    """Who convinced whom, most often first."""
    found = [
        Persuasion(who=who, whom=whom, rightly=count.rightly, wrongly=count.wrongly)
        for who, to in statistics.convinced.items()
        for whom, count in to.items()
    ]
    return sorted(found, key=lambda one: (-one.rightly - one.wrongly, one.who, one.whom))


def gallery(graphs: Iterable[networkx.DiGraph]) -> list[GraphPicture]:
    """The first graphs that changed somebody's mind, then others; at most `GALLERY`, none larger than the page."""
    small = [graph for graph in graphs if 0 < len(graph) <= MAX_DRAWN]
    small.sort(key=lambda graph: len({node["right"] for _, node in nodes(graph)}) < 2 or not graph.number_of_edges())
    return [_picture(graph) for graph in small[:GALLERY]]


def _picture(graph: networkx.DiGraph) -> GraphPicture:
    places = {name: place for place, (name, _) in enumerate(nodes(graph))}
    return GraphPicture(
        id=graph.graph["id"],
        task=graph.graph["task"],
        question=graph.graph["question"]["question"][:2000],
        gold=graph.graph["gold"],
        nodes=[
            GraphNode(
                agent=node["agent"],
                round=node["round"],
                answer=node["written"] and node["written"][:200],
                right=node["right"],
                text=node["reasoning"][:1000],
            )
            for _, node in nodes(graph)
        ],
        edges=[(places[a], places[b]) for a, b in graph.edges],
    )


def left_out(sifted: CorpusSummary) -> list[tuple[str, int, str]]:
    """What was dropped, by rule."""
    rules = [
        *((f"question: {rule}", found) for rule, found in sifted.questions_dropped.items()),
        *((f"reply: {rule}", found) for rule, found in sifted.replies_dropped.items()),
    ]
    return [(rule, found.count, ", ".join(found.examples)[:300]) for rule, found in rules]
