"""`collegium glue`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.cluster import show as show_clusters
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.errors import StorageError
from orchestrator.evaluation.prune import PruneRequest
from orchestrator.evaluation.report.data import Glue
from orchestrator.evaluation.report.formats import percent, plain
from orchestrator.evaluation.report.headline import headline
from orchestrator.evaluation.report.terminal import methods_table
from orchestrator.pipelines.glue import GlueRequest, GlueResult


def show_finished(console: Console, finished: Finished[GlueRequest, GlueResult]) -> None:
    """Display the new zoo and the report's path."""
    show(console, finished.result)
    console.print(f"New zoo: {zoo_file(finished)}", soft_wrap=True)
    console.print(f"Report: {finished.report}", soft_wrap=True)


def document(finished: Finished[GlueRequest, GlueResult]) -> dict[str, Any]:
    """The report of the new zoo, as JSON."""
    report = finished.result.report.model_dump(mode="json")
    return {"zoo": str(zoo_file(finished)), "report": str(finished.report), **report}


def zoo_file(finished: Finished[GlueRequest, GlueResult]) -> Path:
    """The new zoo's file: where the request wants it, else the run folder's."""
    wanted = finished.request.out
    return (Path(wanted).expanduser() if wanted else finished.folder / "zoo.yaml").absolute()


def chapter(console: Console, collegium: Collegium, questions: int, select_questions: int) -> None:
    """The demo's: glue the zoo, without CMA-ES and with a small first look, since people wait."""
    console.print(
        "Experts that are alike can be merged; a merge is tried by writing it into the live weights. Who adds "
        "nothing to the others is dropped. All of that on the validation split; reported on the test split.\n"
    )
    request = GlueRequest(trials=0, sample=16, select_questions=select_questions, questions=questions)
    result = run_with_progress(collegium, lambda: collegium.aglue(request))
    show_finished(console, Finished(collegium, request, result, collegium.run_folder("glue", request), {}))


def check(collegium: Collegium, request: GlueRequest | PruneRequest, folder: Path, quiet: bool) -> None:
    """Raises `StorageError` now, not after the work, if the new zoo's file cannot be written."""
    if not request.out:
        return
    path = Path(request.out).expanduser().absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise StorageError(f"{path}: cannot be written")


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
    console.print(methods_table(report.methods, width=console.width))
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


command = pipeline_command("glue", show_finished, document, before=check)
