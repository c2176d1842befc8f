"""`collegium experts grow`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.config_file import add_entry
from orchestrator.cli.options import DEFAULT_CONFIG
from orchestrator.cli.pipeline import Finished, pipeline_command, several
from orchestrator.config import read_yaml
from orchestrator.errors import ExpertError
from orchestrator.evaluation.report.formats import interval, points, value
from orchestrator.evaluation.report.terminal import methods_table
from orchestrator.pipelines.grow import GrowRequest, GrowResult

_ADD = click.Option(
    ["--add", "add"],
    metavar="FILE",
    help=f"Configuration to add what helps to (default: ./{DEFAULT_CONFIG}, made if need be; none: add nothing).",
)


def show(console: Console, finished: Finished[GrowRequest, GrowResult]) -> None:
    """Display what became of each skill, the comparison, and where the experts went."""
    result = finished.result
    console.print(skills_table(result))
    for line in result.report.decisions:
        console.print(Text(line, style="dim"), soft_wrap=True)
    if len(result.skills) > 1:
        console.print()
        console.print(methods_table(result.report.methods, width=console.width))
    for line in add(finished):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"Report: {finished.report}", soft_wrap=True)


def skills_table(result: GrowResult) -> Table:
    """One row per skill: lessons, time, accuracy before and after on the test questions, and whether it helps."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("skill", "lessons", "minutes", "before", "after", "gain (95% interval)", ""):
        table.add_column(column, justify="left" if column in ("skill", "") else "right")
    for one in result.skills:
        told = one.figures
        table.add_row(
            one.name,
            f"{one.lessons.taught:,}",
            f"{one.training.seconds / 60:.1f}",
            value(told.before),
            value(told.after),
            f"{points(told.gain.value)} ({interval(told.gain)})",
            "helps" if one.helped else "did not help",
        )
    return table


def add(finished: Finished[GrowRequest, GrowResult]) -> list[str]:
    """Add what helped to a configuration; a line each."""
    wanted = finished.options.get("add")
    if wanted == "none":
        return []
    path = Path(wanted or DEFAULT_CONFIG).expanduser().absolute()
    if finished.result.experts and not path.exists() and wanted is None:
        path.write_text("zoo: demo\n", "utf-8")  # what was used until now stays
    lines = []
    for name, entry in finished.result.experts.items():
        known = read_yaml(path).get("experts", {}).get(name) if path.exists() else None
        if known != entry:
            add_entry(path, name, entry)
        lines.append(f"Added {name} to {path}. Next: collegium profile")
    return lines


def document(finished: Finished[GrowRequest, GrowResult]) -> dict[str, Any]:
    """The skills and the report, as JSON."""
    lines = add(finished)
    skills = [
        {
            **dataclasses.asdict(one),
            "folder": str(one.folder),
            "helped": one.helped,
            "decided": one.decided.model_dump(),
            "training": one.training.model_dump(),
            "figures": {name: each.model_dump() for name, each in vars(one.figures).items()},
        }
        for one in finished.result.skills
    ]
    report = finished.result.report.model_dump(mode="json")
    return {"skills": skills, "added": lines, "report": str(finished.report), **report}


def _fail(result: GrowResult) -> None:
    if not result.experts:
        told = "the skill did not help" if len(result.skills) == 1 else f"none of {len(result.skills)} skills helped"
        raise ExpertError(f"{told}: nothing was added")


command = several(pipeline_command("grow", show, document, _ADD, after=_fail), "skills")
