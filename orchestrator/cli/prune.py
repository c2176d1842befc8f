"""`collegium prune`: no engine, no Ray."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.glue import check
from orchestrator.cli.lines import finite
from orchestrator.cli.options import positional
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.evaluation.prune import PruneRequest, Pruning
from orchestrator.evaluation.report.formats import percent, plain
from orchestrator.evaluation.unlearning import UnlearnedSet
from router.estimate import Difference, Estimate


def show(console: Console, finished: Finished[PruneRequest, Pruning]) -> None:
    """Display the curve, what remains and why, and what was unlearnt."""
    result = finished.result
    console.print(curve_table(result))
    console.print(Text(plain(f"Kept: {', '.join(result.kept)} ({result.why})")), soft_wrap=True)
    for name, one in (("Forget", result.forget), ("Retain", result.retain)):
        if one is not None:
            console.print(Text(plain(set_line(name, one))), soft_wrap=True)
    for note in result.notes:
        console.print(Text(plain(note), style="dim"), soft_wrap=True)
    source = f"decided on {result.fitted_questions:,} questions of {result.fitted_on}; reported on {result.tested_on}"
    console.print(Text(plain(f"{source} ({result.questions:,}); intervals are 95%"), style="dim"), soft_wrap=True)
    if finished.request.out:
        path = Path(finished.request.out).expanduser().absolute()
        console.print(Text(f"Configuration: {path}"), soft_wrap=True)


def curve_table(result: Pruning) -> Table:
    """One row per step: how many experts remain, who left, how often it was asked, and the accuracy without it."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    heads = ("experts", "left", "was asked", "deciding questions", "tested questions", "against all", "")
    for head in heads:
        table.add_column(head, justify="left" if head in ("left", "") else "right")
    asked = dict(result.steps[0].used)
    for place, step in enumerate(result.steps):
        shares = ", ".join(percent(asked[name]) for name in step.dropped)
        asked = dict(step.used)
        table.add_row(
            str(len(step.experts)),
            Text(plain(", ".join(step.dropped))),
            shares,
            percent(step.fitted),
            estimate(step.accuracy),
            points(step.change) if place else "",
            "kept" if place == result.chosen else "",
        )
    return table


def set_line(name: str, one: UnlearnedSet) -> str:
    """What a forget or retain set shows, in a line."""
    return (
        f"{name} set ({', '.join(one.tasks) or 'all tested questions'}; {one.questions:,} questions): "
        f"{estimate(one.before)} before, {estimate(one.after)} after, {points(one.change)}; "
        f"a remaining expert is right on {estimate(one.possible)}"
    )


def estimate(one: Estimate) -> str:
    """An accuracy with its interval."""
    return f"{percent(one.value)} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def points(one: Difference) -> str:
    """A difference with its interval, in points."""
    return f"{100 * one.value:+.1f} points ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _document(finished: Finished[PruneRequest, Pruning]) -> dict[str, Any]:
    body: dict[str, Any] = finite({**asdict(finished.result), "kept": finished.result.kept})
    return body


command = positional(pipeline_command("prune", show, _document, before=check), "table")
