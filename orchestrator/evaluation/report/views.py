"""What each section of the page shows: the report's records turned into rows for a template and a chart.

A view takes the report and returns the names its template sees, or None when the run has nothing for it. The
key `chart` is what its JavaScript function sees, as JSON; all else stays on this side.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from orchestrator.evaluation.report.data import (
    MethodResult,
    ReportResidency,
    RunReport,
    cost_per_question,
    in_money,
)
from orchestrator.evaluation.report.matrix import best_cells, expert_totals, oracle_total

View = dict[str, Any]

MAX_STAYS = 6_000
"""Residencies that the timeline draws; the totals beside it count all of them."""


def ranked_methods(report: RunReport) -> list[MethodResult]:
    """Best first."""
    return sorted(report.methods, key=lambda result: -result.overall.value)


def method_tasks(report: RunReport) -> list[str]:
    """Every task that some method answered, in order of first appearance."""
    return list(dict.fromkeys(task for result in report.methods for task in result.accuracies))


def methods(report: RunReport) -> View | None:
    """Accuracies by method and task; None if no method was run."""
    if not report.methods:
        return None
    ranked, tasks = ranked_methods(report), method_tasks(report)
    same_split = report.matrix is not None and report.matrix.split == report.split
    experts = expert_totals(report.matrix) if report.matrix is not None and same_split else {}
    overall = [{"method": result.method, "role": result.role, **result.overall.model_dump()} for result in ranked]
    by_task = [
        {"method": result.method, "task": task, **accuracy.model_dump()}
        for result in ranked
        for task, accuracy in result.accuracies.items()
        if accuracy.n
    ]
    chart = {
        "overall": overall,
        "by_task": by_task,
        "tasks": tasks,
        "experts": [{"expert": expert, "value": total.value} for expert, total in experts.items()],
    }
    return {"methods": ranked, "tasks": tasks, "experts": experts, "chart": chart}


def comparisons(report: RunReport) -> View | None:
    """Differences of methods on the same questions, as they were asked for."""
    return {"comparisons": report.comparisons} if report.comparisons else None


def judged(report: RunReport) -> View | None:
    """What judges found of open answers; None where nobody judged."""
    if not report.judged:
        return None
    judges = list(dict.fromkeys(judge for one in report.judged for judge in one.judges))
    return {"judged": report.judged, "judges": judges}


def experts(report: RunReport) -> View | None:
    """Accuracies by expert and task, with the oracle; None if there are none."""
    matrix = report.matrix
    if matrix is None or not matrix.experts or not matrix.tasks:
        return None
    best = best_cells(matrix)
    totals = expert_totals(matrix)
    highest = max(total.value for total in totals.values())
    rows = [
        {
            "expert": expert,
            "cells": [(cell, cell.n > 0 and cell.value == top.value) for cell, top in zip(row, best, strict=True)],
            "total": (totals[expert], totals[expert].value == highest),
        }
        for expert, row in zip(matrix.experts, matrix.cells, strict=True)
    ]
    return {"matrix": matrix, "rows": rows, "oracle": [*best, oracle_total(matrix)]}


def expert_colours(report: RunReport) -> dict[str, int]:
    """Expert -> its place in the palette: by the matrix's order, then by first appearance on a worker."""
    names = list(report.matrix.experts) if report.matrix is not None else []
    return {name: i for i, name in enumerate(dict.fromkeys([*names, *(stay.expert for stay in report.timeline)]))}


def timeline(report: RunReport) -> View | None:
    """The stays of the experts on the workers; None if there are none."""
    if not report.timeline:
        return None
    colours = expert_colours(report)
    stays: defaultdict[str, list[ReportResidency]] = defaultdict(list)
    in_order = sorted(report.timeline, key=lambda stay: stay.load_start)
    for stay in in_order:
        stays[stay.expert].append(stay)
    order = {name: i for i, name in enumerate(stays)}
    workers = sorted({stay.worker for stay in report.timeline})
    start = min(0.0, *(stay.load_start for stay in report.timeline))
    wall = max(stay.end for stay in report.timeline) - start
    loading = sum(stay.load_end - stay.load_start for stay in report.timeline)
    generating = sum(stay.end - stay.load_end for stay in report.timeline)
    return {
        "workers": workers,
        "wall": wall,
        "left_out": max(0, len(report.timeline) - MAX_STAYS),
        "loads": sum(stay.moved for stay in report.timeline),
        "loading": loading,
        "generating": generating,
        "available": wall * len(workers),
        "tokens": sum(stay.tokens for stay in report.timeline),
        "rows": [_expert_row(name, colours[name], of_expert) for name, of_expert in stays.items()],
        "chart": {
            "start": start,
            "end": start + wall,
            "workers": workers,
            "experts": [[name, colours[name]] for name in stays],
            "stays": [_stay(stay, workers, order) for stay in in_order[:MAX_STAYS]],
        },
    }


def _stay(stay: ReportResidency, workers: list[str], experts: dict[str, int]) -> list[Any]:
    """A residency as a short row, since there may be thousands; times to the millisecond."""
    times = (round(time, 3) for time in (stay.load_start, stay.load_end, stay.end))
    return [workers.index(stay.worker), experts[stay.expert], stay.way, *times, stay.requests, stay.tokens]


def _expert_row(name: str, colour: int, stays: list[ReportResidency]) -> View:
    generating = sum(stay.end - stay.load_end for stay in stays)
    tokens = sum(stay.tokens for stay in stays)
    return {
        "expert": name,
        "colour": colour,
        "ways": sorted({stay.way.replace("_", " ") for stay in stays}),
        "loads": sum(stay.moved for stay in stays),
        "loading": sum(stay.load_end - stay.load_start for stay in stays),
        "generating": generating,
        "requests": sum(stay.requests for stay in stays),
        "tokens": tokens,
        "rate": tokens / generating if generating else None,
    }


def cost(report: RunReport) -> View | None:
    """What a question costs by method: US dollars per 1,000 where the price of every reply is known, else tokens. None
    if no method was run."""
    if not report.methods:
        return None
    money = in_money(report.methods)
    rows = [(result, cost_per_question(result, money)) for result in ranked_methods(report)]
    unit = "US dollars per 1,000 questions" if money else "tokens per question"
    chart = [
        {"method": result.method, "role": result.role, "amount": amount, "unit": unit, **result.overall.model_dump()}
        for result, amount in rows
        if amount
    ]
    return {"rows": rows, "dearest": max(amount or 0.0 for _, amount in rows), "chart": chart, "money": money}


def manifest(report: RunReport) -> View | None:
    """What was run, on what, with what."""
    facts = {
        "Command": report.command,
        "Created": report.created.isoformat(sep=" ", timespec="seconds"),
        "Answered split": report.split,
        "Fitted on": report.fitted_on or "nothing was fitted",
        "Seed": str(report.seed),
        "Engine": report.engine,
        "Machine": report.machine,
    }
    return {"facts": {key: text for key, text in facts.items() if text} | report.manifest}
