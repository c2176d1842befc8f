"""The report's terminal face: the same records as tables and a timeline for rich.

Names and notes become Text, never markup, and lose control characters, so that a hostile name can neither
style nor steer the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from orchestrator.evaluation.report.data import Comparison, Matrix, MethodResult, ReportResidency
from orchestrator.evaluation.report.formats import (
    DASH,
    count,
    figure,
    interval,
    metric_head,
    percent,
    plain,
    points,
    probability,
    seconds,
    value,
)
from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.matrix import best_cells, expert_totals, oracle_total
from orchestrator.evaluation.report.record import Interval

ORACLE = "best of each task"
LONGEST_NAME = 20
"""Columns below which no name and no head of a column is broken within a word."""
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow", "bright_green")


SPARED = ("Time", "From ledger", "Calls", "Tokens per question", "USD per 1000 questions")
"""Columns that a narrow terminal does without, the first one first."""


def methods_table(methods: Sequence[MethodResult], *, width: int = 200) -> Table:
    """Methods, best first, the best that is no bound in bold: accuracy with interval, and cost. Where `width` is too
    little for whole words, columns of `SPARED` are left out, and named below."""
    columns = _columns(methods)
    spare = [name for name in SPARED if name in columns]
    left_out: list[str] = []
    while _needed(table := _methods_table(methods, columns)) > width and spare:
        left_out.append(spare.pop(0))
        del columns[left_out[-1]]
    if left_out:
        caption = f"In a wider terminal and in the report: {', '.join(left_out)}"
        table.caption, table.caption_justify = Text(caption, style="dim"), "left"
    return table


def _columns(methods: Sequence[MethodResult]) -> dict[str, Callable[[MethodResult], str]]:
    """Head -> cell, but for the method's name and its accuracy."""
    columns: dict[str, Callable[[MethodResult], str]] = {
        "Tokens per question": lambda one: count(one.cost.tokens / one.overall.n) if one.overall.n else DASH,
        "Calls": lambda one: count(one.cost.calls),
        "From ledger": lambda one: count(one.cost.cached_calls),
    }
    if any(one.cost.seconds for one in methods):  # a run that loads no expert has not seen how fast it is
        columns["Time"] = lambda one: seconds(one.cost.seconds) if one.cost.seconds else DASH
    for place, metric in enumerate(methods[0].metrics if methods else ()):
        columns[metric_head(metric)] = lambda one, place=place: figure(one.metrics[place])  # type: ignore[misc]
    if any(one.cost.dollars is not None for one in methods):
        columns["USD per 1000 questions"] = _dollars
    if any(_not_scored(one) for one in methods):
        columns["Abstained, unreadable, failed"] = lambda one: _not_scored(one) or "0, 0, 0"
    return columns


def _methods_table(methods: Sequence[MethodResult], columns: Mapping[str, Callable[[MethodResult], str]]) -> Table:
    """Only the methods' names give way, at their blanks: each other column is as wide as its widest cell or word."""
    ranked = sorted(methods, key=lambda result: -result.overall.value)
    words = [cell_len(word) for result in ranked for word in plain(result.method).split()]
    table = _table("Method", "Right")
    table.columns[0].no_wrap, table.columns[1].no_wrap = False, True
    table.columns[0].min_width = min(max(words, default=1), LONGEST_NAME)
    cells = {name: [plain(cell(result)) for result in ranked] for name, cell in columns.items()}
    for name, column in cells.items():
        wide = max(map(cell_len, (*column, *name.split())))
        head = "\n".join(textwrap.wrap(plain(name), wide, break_long_words=False))
        table.add_column(Text(head), justify="right", vertical="bottom", no_wrap=True)
    first = next((result for result in ranked if result.role in ("method", "reference")), None)
    for place, result in enumerate(ranked):
        overall = Text(value(result.overall), style="bold" if result is first else "")
        overall.append(f" {interval(result.overall)}", style="dim not bold")
        row = [Text(column[place]) for column in cells.values()]
        table.add_row(_name(result.method, bold=result is first), overall, *row)
    return table


def _needed(table: Table) -> int:
    """Columns of a terminal that such a table takes at least."""
    first, *others = table.columns
    lines = [[str(cell) for cell in (column.header, *column.cells)] for column in others]
    widest = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in lines]
    return (first.min_width or 0) + sum(widest) + 2 * len(others)


def _dollars(result: MethodResult) -> str:
    """US dollars per 1,000 questions that were asked."""
    asked = sum(result.counts.model_dump().values()) if result.counts else result.overall.n
    return DASH if result.cost.dollars is None or not asked else f"{1000 * result.cost.dollars / asked:.4g}"


def _not_scored(result: MethodResult) -> str:
    """Questions without a readable answer, by kind; empty where there are none."""
    kinds = result.counts
    if kinds is None or not (kinds.abstained or kinds.unreadable or kinds.failed):
        return ""
    return f"{kinds.abstained}, {kinds.unreadable}, {kinds.failed}"


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """One method minus another on the same questions, in points, in bold where interval and test leave zero out."""
    metrics = comparisons[0].metrics if comparisons else ()
    heads = [metric_head(metric) for metric in metrics]
    table = _table("Method", "minus", "Points", "95% interval", "p (McNemar)", *heads)
    table.columns[1].justify = "left"
    for one in comparisons:
        gap = one.difference
        difference = Text(points(gap.value), style="bold" if one.sure else "")
        bounds = Text(f"{points(gap.low)} to {points(gap.high)}", style="dim", no_wrap=True)
        between = _name(one.method), _name(one.baseline)
        table.add_row(*between, difference, bounds, probability(one.p), *map(figure, one.metrics))
    return table


def judged_table(judged: Sequence[JudgedPair]) -> Table:
    """How judges found each method's replies against one method's, in bold where the interval leaves a half out."""
    table = _table(
        "Method", "against", "Wins/ties/losses", "Win rate", "95% interval", "at equal lengths", "unused verdicts"
    )
    table.columns[1].justify = "left"
    for one in judged:
        counts = f"{one.wins}/{one.ties}/{one.losses}"
        unread = f"{one.unreadable} unreadable, {one.ordered} by order, {one.failed} failed of {one.calls}"
        if one.win_rate is None or one.length_controlled is None:
            table.add_row(_name(one.method), _name(one.against), counts, "-", "-", "-", unread)
            continue
        low, value, high = one.win_rate.low, one.win_rate.value, one.win_rate.high
        rate = Text(f"{value:.1%}", style="" if low <= 0.5 <= high else "bold")
        controlled = one.length_controlled
        equal = f"{controlled.value:.1%} ({controlled.low:.1%} to {controlled.high:.1%})"
        table.add_row(_name(one.method), _name(one.against), counts, rate, f"{low:.1%} to {high:.1%}", equal, unread)
    if agreed := [line for one in judged for line in _agreement(one)]:
        table.caption, table.caption_justify = Text("\n".join(agreed), style="dim"), "left"
    return table


def _agreement(one: JudgedPair) -> list[str]:
    """How often the judges of a pair agree with one another, and with a person."""
    found = [] if one.between_judges is None else [f"judges agree with one another on {one.between_judges:.0%}"]
    found += [] if one.agreement is None else [f"with a person on {one.agreement:.0%} of {one.labelled} questions"]
    found += ["nothing could be judged: verdicts followed the order of the replies"] * one.nothing_but_order
    return [f"{plain(one.method)} against {plain(one.against)}: {', '.join(found)}"] if found else []


def matrix_table(matrix: Matrix, *, width: int = 200, intervals: bool = False) -> Table:
    """Percent right of each expert on each task, the best of each column in bold; `intervals` adds bounds.

    Where `width` is too little for the tasks' words, columns are numbered and named below.
    """
    longest = max(map(len, (*map(plain, matrix.experts), ORACLE)))
    words = [max(map(len, plain(task.replace("_", " ")).split() or [""])) for task in (*matrix.tasks, "All tasks")]
    narrow = longest + sum(word + 2 for word in words) > width
    table = _table("Expert", *(map(str, range(1, len(matrix.tasks) + 1)) if narrow else matrix.tasks), "All tasks")
    if narrow:
        named = (f"{place} {plain(task.replace('_', ' '))}" for place, task in enumerate(matrix.tasks, 1))
        table.caption, table.caption_justify = Text(", ".join(named), style="dim"), "left"
    else:
        for column, word in zip(table.columns[1:], words, strict=True):
            column.min_width = word
    table.title = Text(f"Percent right, {plain(matrix.split)} split, seed {matrix.seed}", style="dim")
    if not matrix.experts:
        return table
    best, totals = best_cells(matrix), expert_totals(matrix)
    highest = max(total.value for total in totals.values())
    for expert, row in zip(matrix.experts, matrix.cells, strict=True):
        cells = [_accuracy(cell, cell.value == top.value, intervals) for cell, top in zip(row, best, strict=True)]
        total = _accuracy(totals[expert], totals[expert].value == highest, intervals)
        table.add_row(_name(expert), *cells, total)
    table.add_section()
    oracle = [_accuracy(cell, False, intervals) for cell in (*best, oracle_total(matrix))]
    table.add_row(Text(ORACLE, style="dim"), *oracle)
    return table


def timeline(stays: Sequence[ReportResidency], width: int = 80) -> Text:
    """One line a worker, `width` columns in all: ░ loading, the expert's name and █ generating, blank idle.

    A column shows what happened at its middle, so loads shorter than a column may not show; the last line sums
    up all of them.
    """
    if not stays:
        return Text("no expert was loaded: every reply came from the ledger or from another server", style="dim")
    workers = sorted({stay.worker for stay in stays})
    label = min(max(len(plain(worker)) for worker in workers), 20)
    start = min(0.0, *(stay.load_start for stay in stays))
    wall = max(stay.end for stay in stays) - start
    columns = max(width - label - 2, 10)
    experts = list(dict.fromkeys(stay.expert for stay in sorted(stays, key=lambda stay: stay.load_start)))
    colours = {expert: COLOURS[i % len(COLOURS)] for i, expert in enumerate(experts)}
    text = Text(no_wrap=True)
    for worker in workers:
        text.append(f"{plain(worker)[:label]:<{label}}  ", style="dim")
        text.append_text(_line([stay for stay in stays if stay.worker == worker], start, wall, columns, colours))
        text.append("\n")
    return text.append_text(_sum(stays, wall, wall * len(workers)))


def _line(stays: list[ReportResidency], start: float, wall: float, columns: int, colours: dict[str, str]) -> Text:
    line = Text()
    middles = [start + (column + 0.5) * wall / columns for column in range(columns)]
    for stay in sorted(stays, key=lambda stay: stay.load_start):
        before = sum(middle < stay.load_start for middle in middles)
        loading = sum(stay.load_start <= middle < stay.load_end for middle in middles)
        generating = sum(stay.load_end <= middle < stay.end for middle in middles)
        line.append(" " * (before - len(line)))
        line.append("░" * loading, style="dim")
        name = plain(stay.expert)[: max(generating - 1, 0)]
        line.append(name, style=f"bold {colours[stay.expert]}")
        line.append("█" * (generating - len(name)), style=colours[stay.expert])
    return line


def _sum(stays: Sequence[ReportResidency], wall: float, available: float) -> Text:
    generating = sum(stay.end - stay.load_end for stay in stays)
    loading = sum(stay.load_end - stay.load_start for stay in stays)
    loads = sum(stay.moved for stay in stays)
    parts = [seconds(wall), f"{count(loads)} loads"]
    if available:
        parts += [f"generating {percent(generating / available)}", f"loading {percent(loading / available)}"]
        parts.append(f"{count(sum(stay.tokens for stay in stays) / wall)} tokens/s")
    return Text(" · ".join(parts), style="dim")


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    table.add_column(_name(first), no_wrap=True)
    for column in columns:
        # Task names are long: they break at their underscores, and no word breaks within.
        head = Text(plain(column.replace("_", " ")), overflow="fold")
        word = max(map(cell_len, head.plain.split()), default=1)
        table.add_column(head, justify="right", vertical="bottom", min_width=min(word, LONGEST_NAME))
    return table


def _name(text: str, bold: bool = False) -> Text:
    return Text(plain(text), style="bold" if bold else "", overflow="ellipsis")


def _accuracy(estimate: Interval | None, best: bool, bounds: bool = False) -> Text:
    if estimate is None or not estimate.n:
        return Text(DASH, style="dim")
    text = Text(f"{100 * estimate.value:.0f}", style="bold" if best else "")
    return text.append(f" {interval(estimate)}", style="dim not bold") if bounds else text
