"""`collegium profile` and `collegium run`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from orchestrator.cli.options import request_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.pipelines.answer import AnswerRequest, AnswerResult
from orchestrator.pipelines.profile import ProfileRequest
from orchestrator.report import write
from orchestrator.report.terminal import matrix_table, methods_table, timeline
from orchestrator.run_folder import RunFolder


def profile(config: Config, request: ProfileRequest, *, as_json: bool, fresh: bool) -> None:
    folder = RunFolder.open(config, "profile", request, fresh=fresh)
    with Collegium(config) as collegium:
        found = run_with_progress(collegium, lambda: collegium.aprofile(request), quiet=as_json)
    found.table.write(folder.path / "table.jsonl")
    folder.write("results.json", found.matrix.model_dump_json(indent=2))
    folder.finish()
    if as_json:
        click.echo(json.dumps({"table": str(folder.path / "table.jsonl"), "matrix": found.matrix.model_dump()}))
        return
    console = Console()
    console.print(matrix_table(found.matrix))
    console.print(f"Correctness table: {folder.path / 'table.jsonl'}")


def run(config: Config, request: AnswerRequest, *, as_json: bool, fresh: bool) -> None:
    folder = RunFolder.open(config, "run", request, fresh=fresh)
    with Collegium(config) as collegium:
        result = run_with_progress(collegium, lambda: collegium.arun(request), quiet=as_json)
    report = store(folder, result)
    if as_json:
        click.echo(json.dumps({"report": str(report), **result.report.model_dump(mode="json")}))
        return
    console = Console()
    show(console, result)
    console.print(f"Report: {report}")


def show(console: Console, result: AnswerResult) -> None:
    """The result's tables, for a terminal."""
    report = result.report
    if report.matrix:
        console.print(matrix_table(report.matrix))
    if report.methods:
        console.print(methods_table(report.methods, by_task=False))
    console.print(timeline(report.timeline, console.width))


def store(folder: RunFolder, result: AnswerResult) -> Path:
    """Write all of a run's results into its folder; the report's path."""
    rows = [
        {
            "question": one.question.id,
            "task": one.question.task,
            "expert": one.expert,
            "text": one.reply.text,
            "answer": one.reply.answer,
            "gold": one.question.answer,
            "right": one.right,
            "confidence": one.reply.confidence,
            "prompt_tokens": one.completion.prompt_tokens if one.completion else 0,
            "completion_tokens": one.completion.completion_tokens if one.completion else 0,
            "key": one.completion.key if one.completion else None,
            "error": one.error,
        }
        for one in result.replies.values()
    ]
    folder.write_rows("replies.parquet", rows)
    if result.profile:
        result.profile.table.write(folder.path / "table.jsonl")
    folder.write("manifest.json", json.dumps(result.report.manifest, indent=2))
    folder.write("results.json", result.report.model_dump_json(indent=2))
    path = folder.path / "report.html"
    write(result.report, path)
    folder.finish()
    return path.absolute()


_FRESH = click.Option(["--fresh"], is_flag=True, help="Empty the run's folder first (the ledger stays).")
profile_command = request_command("profile", ProfileRequest, profile, _FRESH)
run_command = request_command("run", AnswerRequest, run, _FRESH)
