"""`collegium route` and `collegium eval-router`: no engine, no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.cli.lines import finite
from orchestrator.cli.options import positional
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.evaluation.eval_router import EvalRouterRequest
from orchestrator.evaluation.report.formats import clipped, plain
from orchestrator.evaluation.route import RoutedQuestion, RouteRequest, RoutingResult
from router.evaluate import Evaluation
from router.ranking import Evidence, Ranking

BAR = 20
"""Columns of a probability's bar."""
MAX_ROWS = 400
"""Characters of a question that are repeated above its ranking."""
REASONS = 5


def show_route(console: Console, finished: Finished[RouteRequest, RoutingResult]) -> None:
    """Display one ranking per question."""
    routes = finished.result
    for asked, ranking in zip(routes.asked, routes.rankings, strict=True):
        console.print(_ranking_group(asked, ranking))
    source = f"router {routes.router}, {'saved in' if finished.request.saved else 'fitted on'} {routes.source}"
    console.print(Text(plain(source), style="dim"))


def show_evaluation(console: Console, finished: Finished[EvalRouterRequest, Evaluation]) -> None:
    """Display the routers' figures."""
    from orchestrator.evaluation.report.routers import routers_table

    console.print(routers_table(finished.result))
    if finished.request.html:
        console.print(Text(f"Plots: {finished.request.html}"), soft_wrap=True)


def _routes(routes: RoutingResult) -> dict[str, Any]:
    return {
        "router": routes.router,
        "source": routes.source,
        "questions": [
            {"id": asked.id, "question": asked.question, **finite(asdict(ranking))}
            for asked, ranking in zip(routes.asked, routes.rankings, strict=True)
        ],
    }


def _ranking_group(asked: RoutedQuestion, ranking: Ranking) -> Group:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    terms = list(ranking.entries[0].terms)
    for head in ("", "Expert", "Likely right", "", *terms, ""):
        table.add_column(Text(plain(head)), justify="right" if head in terms else "left")
    for place, entry in enumerate(ranking.entries, 1):
        filled = round(BAR * min(max(entry.probability, 0.0), 1.0))
        bar = Text("█" * filled, style=_colour(entry.probability)).append("░" * (BAR - filled), style="dim")
        table.add_row(
            Text(str(place), style="dim"),
            Text(plain(entry.expert), style="bold" if place == 1 else ""),
            Text(f"{entry.probability:.0%}", style=_colour(entry.probability)),
            bar,
            *(f"{entry.terms[term]:+.2f}" for term in terms),
            Text(entry.note or "", style="yellow"),
        )
    question = Text(clipped(plain(asked.question), MAX_ROWS), style="bold")
    return Group(question, table, *_reasons(ranking.evidence), Text())


def _reasons(evidence: Sequence[Evidence]) -> list[Text]:
    if not evidence:
        return []
    lines = [Text("because of", style="dim")]
    ordered = sorted(evidence, key=lambda one: -one.weight)
    for kind in dict.fromkeys(one.kind for one in ordered):
        for one in [one for one in ordered if one.kind == kind][:REASONS]:
            line = Text(f"  {kind} ", style="dim").append(clipped(plain(one.label), 90), style="cyan")
            if one.source is not None and one.source != one.label:
                line.append(f" (the question says {clipped(plain(one.source), 40)})", style="dim")
            lines.append(line.append(f"  {one.weight:.2f}" if one.weight else "", style="dim"))
    return lines


def _colour(probability: float) -> str:
    return "green" if probability >= 2 / 3 else "yellow" if probability >= 1 / 3 else "red"


route_command = pipeline_command("route", show_route, lambda finished: _routes(finished.result))
next(option for option in route_command.params if option.name == "question").opts.append("-q")
eval_command = positional(
    pipeline_command("eval-router", show_evaluation, lambda finished: finite(asdict(finished.result))), "table"
)
