"""`collegium profile` and `collegium run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.collegium import Collegium
from orchestrator.evaluation.answer import RunRequest, RunResult, methods_named
from orchestrator.evaluation.compare import estimate
from orchestrator.evaluation.profile import Profile, ProfileRequest
from orchestrator.evaluation.report.terminal import comparisons_table, matrix_table, methods_table, timeline


def show_profile(console: Console, finished: Finished[ProfileRequest, Profile]) -> None:
    console.print(matrix_table(finished.result.matrix, width=console.width))
    console.print(f"Correctness table: {finished.folder / 'table.jsonl'}", soft_wrap=True)


def profile_document(finished: Finished[ProfileRequest, Profile]) -> dict[str, Any]:
    return {"table": str(finished.folder / "table.jsonl"), "matrix": finished.result.matrix.model_dump()}


def check(collegium: Collegium, request: RunRequest, folder: Path, quiet: bool) -> None:
    """Unknown methods are refused, and a comparison's cost is told, before anything starts."""
    methods_named(request.methods, collegium.config)
    if request.compare:
        cost = estimate(request, collegium.config, collegium.experts)
        Console(stderr=True).print(f"Estimated cost: {cost}", soft_wrap=True)


def show_run(console: Console, finished: Finished[RunRequest, RunResult]) -> None:
    report = finished.result.report
    if report.matrix:
        console.print(matrix_table(report.matrix, width=console.width))
    if report.methods:
        console.print(methods_table(report.methods, by_task=False))
    if report.comparisons:
        console.print(comparisons_table(report.comparisons))
    console.print(timeline(report.timeline, console.width))
    console.print(f"Report: {finished.report}", soft_wrap=True)


def run_document(finished: Finished[RunRequest, RunResult]) -> dict[str, Any]:
    report = finished.result.report.model_dump(mode="json", exclude={"transcripts"})
    return {"report": str(finished.report), **report}


profile_command = pipeline_command("profile", show_profile, profile_document)
run_command = pipeline_command("run", show_run, run_document, before=check)
