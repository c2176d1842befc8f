"""`collegium report RUN ...`: the page of one run again, or one page of several runs on the questions they share."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from orchestrator.cli.options import configuration
from orchestrator.errors import BadInput
from orchestrator.evaluation.report import RunReport, write
from orchestrator.evaluation.report.terminal import comparisons_table, methods_table


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Page to write; default: RUN/report.html or comparison.html."
)
@click.option("--config", metavar="FILE", help="Configuration that names the folder `runs`; default: ./collegium.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(runs: tuple[str, ...], out: Path | None, config: str | None, as_json: bool) -> None:
    """Write the page of a RUN again, or of several RUNs on the questions that they share.

    A RUN is a run's folder, or its name in the folder `runs`. Several are paired question by question.
    """
    folders = [_folder(run, config) for run in runs]
    path = out or (folders[0] / "report.html" if len(folders) == 1 else Path("comparison.html"))
    report = _report(folders)
    write(report, path)
    if as_json:
        click.echo(report.model_dump_json(exclude={"transcripts", "samples"}))
        return
    console = Console(highlight=False)
    if report.methods:
        console.print(methods_table(report.methods, width=console.width))
    if report.comparisons:
        console.print(comparisons_table(report.comparisons))
    console.print(f"Report: {path.absolute()}", soft_wrap=True)


def _folder(run: str, config: str | None) -> Path:
    path = Path(run).expanduser()
    if path.is_dir():
        return path
    named = Path(configuration(config).runs).expanduser() / run
    if not named.is_dir():
        raise BadInput(f"{run}: there is no such folder, nor {named}")
    return named


def _report(folders: list[Path]) -> RunReport:
    from orchestrator.pipelines.comparison_report import comparison_report
    from orchestrator.pipelines.run_list import open_run

    if len(folders) > 1:
        return comparison_report(folders, " ".join(["collegium", *sys.argv[1:]]))
    report = getattr(open_run(folders[0]), "report", None)
    if not isinstance(report, RunReport):
        raise BadInput(f"{folders[0]}: this pipeline leaves no report of methods")
    return report
