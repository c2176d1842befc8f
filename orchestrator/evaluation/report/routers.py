"""What `collegium eval-router` shows: one page with plots, and tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from orchestrator.evaluation.report.formats import DASH, percent, plain, points
from orchestrator.evaluation.report.page import document, save
from router.estimate import Difference, Estimate
from router.evaluate import Evaluation, RouterResult
from router.routers import DEFAULT

SURE = 0.05
VOTES = ("log-odds fitted", "any right", "majority")
"""Whose numbers the charts and the terminal show, the first that there is."""


def vote_label(found: Evaluation) -> str:
    """The aggregator whose numbers stand for a router."""
    have = {result.aggregator for result in found.results}
    return next((vote for vote in VOTES if vote in have), "first")


def reference(found: Evaluation) -> str:
    """The router that the others were compared with."""
    names = [quality.router for quality in found.qualities]
    return DEFAULT if DEFAULT in names else names[0]


def claim(found: Evaluation) -> str:
    """The result in one sentence, saying plainly where nothing was gained."""
    mine = [result for result in found.results if result.router == reference(found)]
    sentences = [_sentence(result) for result in mine if result.aggregator in (vote_label(found), "first")]
    return f"{reference(found)} against the best expert: {'; '.join(sentences)}."


def write_routers(found: Evaluation, path: Path, *, title: str, command: str) -> None:
    """Write the page. Raises StorageError where it cannot be written."""
    page = document(
        "routers.html",
        ["routers.js"],
        title=title,
        claim=claim(found),
        command=command,
        found=found,
        aggregator=vote_label(found),
        reference=reference(found),
        rows=[_row(result, found) for result in found.results],
        curves=_traded(found),
        metrics=metric_rows(found),
        charts={"routers": _charts(found)},
    )
    save(page, path)


def routers_table(found: Evaluation) -> Group:
    """The evaluation for a terminal: every router at every k, then the reference router by aggregator."""
    vote = vote_label(found)
    by_k: dict[tuple[str, int], RouterResult] = {
        (r.router, r.k): r for r in found.results if r.aggregator == (vote if r.k > 1 else "first")
    }
    ks = sorted({k for _, k in by_k})
    table = Table(box=None, pad_edge=False, header_style="dim")
    heads = ["Router", *(f"k={k}" if k > 1 else "one expert" for k in ks), "over the best", "ECE", "Experts asked"]
    costs = any(result.cost is not None for result in found.results)
    for number, head in enumerate([*heads, *(["Cost", "Cost area"] if costs else [])]):
        table.add_column(head, justify="right" if number else "left")
    best = {k: max(by_k[quality.router, k].accuracy.value for quality in found.qualities) for k in ks}
    for quality in found.qualities:
        last = by_k[quality.router, ks[-1]]
        cells = [_accuracy(by_k[quality.router, k].accuracy, best[k]) for k in ks]
        priced = [_number(last.cost), _number(quality.cost_area)] if costs else []
        table.add_row(
            Text(plain(quality.router), style="bold" if quality.router == reference(found) else ""),
            *cells,
            _difference(last.over_best),
            f"{quality.calibration_error:.3f}",
            f"{last.unique_experts:.2f}",
            *priced,
        )
    parts: list[RenderableType] = [_Uncut(_by_metric(found)), Text()] if found.metrics else []
    return Group(*_head(found, vote), _Uncut(table), Text(), *parts, _Uncut(_by_aggregator(found)), *_tail(found))


@dataclass(frozen=True, slots=True)
class _Uncut:
    """A table none of whose numbers and names is cut: on a narrow terminal an interval goes below its number, headings
    break, and columns that have no room left stand in a further table below."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = []
        for column in self.table.columns:
            texts = (column.header, *column.cells)
            cells = [text.plain if isinstance(text, Text) else str(text) for text in texts]
            column.overflow = "fold"
            column.min_width = max((len(word) for cell in cells for word in cell.split()), default=1)
            widths.append(column.min_width + 2)
        first, *others = range(len(widths))
        while others:
            room, taken = options.max_width - widths[first], list[int]()
            while others and (not taken or widths[others[0]] <= room):
                room -= widths[others[0]]
                taken.append(others.pop(0))
            part = self.table if len(taken) == len(widths) - 1 else self._part([first, *taken])
            _widen(part, options.max_width)
            yield part

    def _part(self, places: list[int]) -> Table:
        whole = self.table
        part = Table(box=None, pad_edge=False, header_style="dim", title=whole.title, title_justify="left")
        columns = [whole.columns[place] for place in places]
        for column in columns:
            part.add_column(column.header, justify=column.justify, min_width=column.min_width, overflow="fold")
        for row in zip(*(list(column.cells) for column in columns), strict=True):
            part.add_row(*row)
        return part


def _widen(table: Table, width: int) -> None:
    """Give each column its longest word, and what is left to those that would break lines: rich alone takes from the
    widest first, even below their longest words."""
    spare = width - sum((column.min_width or 1) + 2 for column in table.columns) + 2
    for column in table.columns:
        cells = [cell.plain if isinstance(cell, Text) else str(cell) for cell in (column.header, *column.cells)]
        more = max(0, min(spare, max(map(cell_len, cells)) - (column.min_width or 1)))
        column.width, spare = (column.min_width or 1) + more, spare - more


METRICS = (
    ("Gain", "gain_over_best", True, "accuracy / that of the best expert of the tested questions - 1"),
    ("To oracle", "gap_to_oracle", True, "1 - accuracy / share of questions that some expert gets right"),
    ("Pareto", "pareto_distance", False, "distance from the front of all experts and routers, cost and accuracy 0..1"),
    ("Arena", "arena", True, "RouterArena's score of accuracy and dollars per 1,000 questions"),
    ("$/1000", "cost_per_1000", False, "cost of 1,000 questions in the table's unit"),
    ("Opt. choice", "optimal_selection", True, "where some expert is right: the cheapest of those was asked"),
    ("Opt. acc.", "optimal_accuracy", True, "where some expert is right: the router is"),
    ("Opt. cost", "optimal_cost", True, "where the router is right: cheapest right expert's cost / that of the asked"),
    ("Robust", "robustness", True, "rephrased questions with the same first choice"),
    ("ms", "milliseconds", False, "to rank the experts for a question, embedding not counted"),
)
"""(heading, field of `RoutingMetrics`, whether it is a share, what it is)."""


def metric_rows(found: Evaluation) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """RouterArena's and LLMRouterBench's metrics: ([(heading, meaning)], [(router, cells)]); what no router has, such
    as costs where there are none, is left out."""
    measured = [one for one in METRICS if any(getattr(each, one[1]) is not None for each in found.metrics)]
    rows = [
        (one.router, [_metric(getattr(one, field), share) for _, field, share, _ in measured]) for one in found.metrics
    ]
    return [(head, meaning) for head, _, _, meaning in measured], rows


def _metric(value: float | None, share: bool) -> str:
    if value is None or math.isnan(value):
        return DASH
    return f"{100 * value:.1f}%" if share else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _by_metric(found: Evaluation) -> Table:
    heads, rows = metric_rows(found)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.title = Text("First choices by RouterArena's and LLMRouterBench's metrics", style="dim")
    table.title_justify = "left"
    for number, head in enumerate(["Router", *(head for head, _ in heads)]):
        table.add_column(head, justify="right" if number else "left")
    for router, cells in rows:
        table.add_row(Text(plain(router), style="bold" if router == reference(found) else ""), *cells)
    return table


def _by_aggregator(found: Evaluation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.title = Text(f"{reference(found)} by aggregator", style="dim")
    table.title_justify = "left"
    heads = (
        "k",
        "Aggregator",
        "Right",
        "over the best",
        "gap closed",
        "lost: nobody right",
        "not recruited",
        "outvoted",
    )
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 1 else "right")
    for result in found.results:
        if result.router == reference(found):
            table.add_row(
                str(result.k),
                result.aggregator,
                _accuracy(result.accuracy, -1.0),
                _difference(result.over_best),
                _share(result.gap_closed),
                *(percent(share) for share in result.lost.values()),
            )
    return table


def _head(found: Evaluation, vote: str) -> list[Text]:
    best = Text("Best expert on the fitted questions: ")
    best.append(plain(found.best_expert), style="bold").append(f", {_interval(found.best)}; ")
    best.append(f"best in hindsight {_interval(found.hindsight)}; some expert is right: {percent(found.oracle)}")
    asked = f"{found.questions} questions ({found.tested_on}), fitted on {found.fitted_questions} ({found.fitted_on}), "
    asked += f"{len(found.experts)} experts, {found.seeds} seeds; aggregator where several answer: {vote}"
    return [Text(plain(asked), style="dim"), best, Text()]


def _tail(found: Evaluation) -> list[Text]:
    return [
        Text(),
        Text(claim(found), style="bold"),
        *(Text(f"Note: {plain(note)}", style="dim") for note in found.notes),
    ]


def _sentence(result: RouterResult) -> str:
    where = "one expert per question" if result.k == 1 else f"k={result.k}"
    gap = result.over_best
    sure = "significant" if gap.p < SURE else "not significant"
    return f"{where} {points(gap.value)} points ({sure}, p={gap.p:.2g})"


def _row(result: RouterResult, found: Evaluation) -> Mapping[str, Any]:
    lead = found.comparisons.get(f"{result.router}/{result.k}/{result.aggregator}")
    return {
        "result": result,
        "over": _bounds(result.over_best),
        "p": f"{result.over_best.p:.2g}",
        "gap": _share(result.gap_closed),
        "cost": _number(result.cost),
        "lead": DASH if lead is None else f"{points(lead.value)} (p={lead.p:.2g})",
    }


def _charts(found: Evaluation) -> Mapping[str, Any]:
    vote = vote_label(found)
    displayed = [r for r in found.results if r.aggregator == (vote if r.k > 1 else "first")]
    ks = sorted({result.k for result in displayed})
    lost = [
        {"router": result.router, "what": what, "share": share}
        for result in displayed
        if result.k == ks[-1]
        for what, share in {"right": result.accuracy.value, **result.lost}.items()
    ]
    return {
        "routers": [quality.router for quality in found.qualities],
        "ks": ks,
        "best": found.best.value,
        "accuracy": [
            {
                "router": r.router,
                "k": r.k,
                "value": r.accuracy.value,
                "low": r.accuracy.low,
                "high": r.accuracy.high,
            }
            for r in displayed
        ],
        "lost_k": ks[-1],
        "lost": lost,
        "curves": [
            {"router": quality.router, "cost": cost, "value": value}
            for quality in found.qualities
            for _, cost, value in quality.curve
        ],
    }


def _traded(found: Evaluation) -> bool:
    """Whether there are costs to trade accuracy against: more than one."""
    costs = [cost for quality in found.qualities for _, cost, _ in quality.curve]
    return bool(costs) and max(costs) - min(costs) > 1e-6 * abs(max(costs))


def _interval(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} ({100 * estimate.low:.1f}{DASH}{100 * estimate.high:.1f})"


def _bounds(gap: Difference) -> str:
    return f"{points(gap.value)} ({points(gap.low)} to {points(gap.high)})"


def _accuracy(estimate: Estimate, best: float) -> Text:
    text = Text(percent(estimate.value), style="bold green" if estimate.value == best else "")
    return text.append(f" {100 * estimate.low:.1f}{DASH}{100 * estimate.high:.1f}", style="dim not bold")


def _difference(gap: Difference) -> Text:
    style = "" if gap.p >= SURE else "green" if gap.value > 0 else "red"
    return Text(points(gap.value), style=style).append(f" p={gap.p:.2g}", style="dim")


def _share(value: float) -> str:
    return DASH if math.isnan(value) else f"{100 * value:.0f}%"


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3g}"
