"""`collegium glue`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.cluster import show as show_clusters
from orchestrator.cli.options import request_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.errors import StorageError
from orchestrator.evaluation.report.data import Glue
from orchestrator.evaluation.report.formats import percent, plain
from orchestrator.evaluation.report.headline import headline
from orchestrator.evaluation.report.terminal import methods_table
from orchestrator.pipelines.glue import GlueRequest, GlueResult
from orchestrator.pipelines.results import store_glue
from orchestrator.run_folder import RunFolder

HEAD = "# Made by `collegium glue`: {title}.\n# Why each expert is here, or is not: {report}\n"


def glue(config: Config, request: GlueRequest, *, as_json: bool, fresh: bool) -> None:
    folder = RunFolder.open(config, "glue", request, fresh=fresh)
    _writable(Path(request.out))
    with Collegium(config) as collegium:
        result = run_with_progress(collegium, lambda: collegium.aglue(request), quiet=as_json)
    report = store_glue(folder, result)
    out = write_zoo(result, Path(request.out), report)
    if as_json:
        told = {"zoo": str(out), "report": str(report), **result.report.model_dump(mode="json")}
        click.echo(json.dumps(told))
        return
    console = Console(highlight=False)
    show(console, result)
    console.print(f"New zoo: {out}", soft_wrap=True)
    console.print(f"Report: {report}", soft_wrap=True)


def chapter(console: Console, collegium: Collegium, questions: int, select_questions: int) -> None:
    """The demo's: glue the zoo, without CMA-ES and with a small first look, since people wait."""
    console.print(
        "Experts that are alike can be merged; a merge is tried by writing it into the live weights. Who adds "
        "nothing to the others is dropped. All of that on the validation split; reported on the test split.\n"
    )
    request = GlueRequest(trials=0, sample=16, select_questions=select_questions, questions=questions)
    folder = RunFolder.open(collegium.config, "demo-glue", request)
    result = run_with_progress(collegium, lambda: collegium.aglue(request))
    report = store_glue(folder, result)
    show(console, result)
    console.print(f"New zoo: {write_zoo(result, folder.path / request.out, report)}", soft_wrap=True)
    console.print(f"Report: {report}", soft_wrap=True)


def _writable(path: Path) -> None:
    """Raises `StorageError` now, not after the work, if a file cannot be made there."""
    folder = path.expanduser().absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK) or path.expanduser().is_dir():
        raise StorageError(f"{path}: cannot be written")


def write_zoo(result: GlueResult, path: Path, report: Path) -> Path:
    """The new zoo's file. Raises `StorageError` where it cannot be written."""
    path = path.expanduser().absolute()
    text = HEAD.format(title=result.report.title, report=report) + yaml.safe_dump(result.zoo, sort_keys=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    return path


def show(console: Console, result: GlueResult) -> None:
    """Clusters, searches, fates and the comparison, for a terminal."""
    report = result.report
    if report.clustering:
        show_clusters(console, report.clustering)
    if report.glue:
        console.print()
        for search in report.glue.searches:
            console.print(Text(search_line(search.name, report.glue)))
        console.print(fates_table(report.glue))
    console.print()
    console.print(methods_table(report.methods))
    console.print(Text(str(headline(report)), style="bold"))


def search_line(name: str, glue: Glue) -> str:
    """What one search tried and found, in a line."""
    search = next(one for one in glue.searches if one.name == name)
    weights = ", ".join(f"{plain(source)} {weight:g}" for source, weight in search.weights.items())
    tried = f"{len(search.trials)} candidates" if len(search.trials) != 1 else "1 candidate"
    return f"{search.name}: {tried} ({search.method}); best {percent(search.score)}: {weights}"


def fates_table(glue: Glue) -> Table:
    """What became of each expert, and why."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("Expert", "", f"Why ({plain(glue.decided_on)})"):
        table.add_column(column)
    styles = {"kept": "green", "merged": "cyan", "dropped": "red"}
    for fate in glue.fates:
        table.add_row(Text(plain(fate.expert)), Text(fate.fate, style=styles[fate.fate]), Text(plain(fate.why)))
    return table


_FRESH = click.Option(["--fresh"], is_flag=True, help="Empty the run's folder first (the ledger stays).")
command = request_command("glue", GlueRequest, glue, _FRESH)
