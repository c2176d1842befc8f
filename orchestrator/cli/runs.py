"""`collegium profile` and `collegium run`."""

from __future__ import annotations

import json

import click
from rich.console import Console

from orchestrator.cli.options import request_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.evaluation.answer import AnswerRequest, AnswerResult, methods_named
from orchestrator.evaluation.compare import estimate
from orchestrator.evaluation.profile import ProfileRequest
from orchestrator.evaluation.report.terminal import comparisons_table, matrix_table, methods_table, timeline
from orchestrator.pipelines.results import store, store_profile
from orchestrator.run_folder import RunFolder


def profile(config: Config, request: ProfileRequest, *, as_json: bool, fresh: bool) -> None:
    folder = RunFolder.open(config, "profile", request, fresh=fresh)
    with Collegium(config) as collegium:
        found = run_with_progress(collegium, lambda: collegium.aprofile(request), quiet=as_json)
    store_profile(folder, found)
    if as_json:
        click.echo(json.dumps({"table": str(folder.path / "table.jsonl"), "matrix": found.matrix.model_dump()}))
        return
    console = Console()
    console.print(matrix_table(found.matrix, width=console.width))
    console.print(f"Correctness table: {folder.path / 'table.jsonl'}")


def run(config: Config, request: AnswerRequest, *, as_json: bool, fresh: bool) -> None:
    methods_named(request.methods, config)
    folder = RunFolder.open(config, "run", request, fresh=fresh)
    with Collegium(config) as collegium:
        if request.compare:
            Console(stderr=True).print(
                f"Estimated cost: {estimate(request, config, collegium.experts)}", soft_wrap=True
            )
        result = run_with_progress(collegium, lambda: collegium.arun(request), quiet=as_json)
    report = store(folder, result)
    if as_json:
        click.echo(
            json.dumps({"report": str(report), **result.report.model_dump(mode="json", exclude={"transcripts"})})
        )
        return
    console = Console()
    show(console, result)
    console.print(f"Report: {report}")


def show(console: Console, result: AnswerResult) -> None:
    """The result's tables, for a terminal."""
    report = result.report
    if report.matrix:
        console.print(matrix_table(report.matrix, width=console.width))
    if report.methods:
        console.print(methods_table(report.methods, by_task=False))
    if report.comparisons:
        console.print(comparisons_table(report.comparisons))
    console.print(timeline(report.timeline, console.width))


_FRESH = click.Option(["--fresh"], is_flag=True, help="Empty the run's folder first (the ledger stays).")
profile_command = request_command("profile", ProfileRequest, profile, _FRESH)
run_command = request_command("run", AnswerRequest, run, _FRESH)
