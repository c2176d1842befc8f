"""`collegium distill`: generate transcripts, look at them, teach students, compare them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.corpus import CorpusSummary
from distill.train import StepMetrics
from orchestrator.cli.experts import add_expert
from orchestrator.cli.options import request_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.evaluation.report.formats import count, percent, plain
from orchestrator.evaluation.report.terminal import methods_table
from orchestrator.experts.zoo import resolve
from orchestrator.pipelines.distill import (
    LEVELS,
    TEACHERS,
    DistillRequest,
    Taught,
    arms,
    inspect,
    read_all,
    teach,
)
from orchestrator.pipelines.distill_generate import GenerateRequest
from orchestrator.pipelines.teaching import TeachRequest
from orchestrator.run_folder import RunFolder


@click.group("distill")
def command() -> None:
    """Teach a student what a panel said: generate transcripts, train, compare.

    \b
    collegium distill generate --discussion reconcile --questions 200
    collegium distill run --transcripts runs/distill-generate-.../transcripts.jsonl.gz --arms L4 --panel reconcile
    """


def generate_transcripts(config: Config, request: GenerateRequest, *, as_json: bool, fresh: bool) -> None:
    RunFolder.open(config, "distill-generate", request, fresh=fresh)
    with Collegium(config) as collegium:
        found = run_with_progress(collegium, lambda: collegium.agenerate(request), quiet=as_json)
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(found), "path": str(found.path)}))
        return
    console = Console(highlight=False)
    console.print(
        f"{found.transcripts} transcripts, {count(found.replies)} replies ({count(found.cached_replies)} from the "
        f"ledger), {count(found.generated_tokens)} tokens generated; the panel was right on "
        f"{percent(found.right / max(1, found.transcripts))}."
    )
    console.print(f"Transcripts: {found.path}", soft_wrap=True)


@command.command("inspect")
@click.argument("transcripts", nargs=-1, required=True)
@click.option("--graphs", type=click.Path(path_type=Path), help="Write every interaction graph here, JSON Lines.")
@click.option("--graphml", type=click.Path(path_type=Path), help="Write each graph as a GraphML file into this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect_transcripts(transcripts: tuple[str, ...], graphs: Path | None, graphml: Path | None, as_json: bool) -> None:
    """Who was right in which round, and who convinced whom. Needs no engine."""
    from distill.graph import interaction_graph, to_graphml, to_json

    found, _ = inspect(transcripts)
    if graphs:
        with graphs.open("w", encoding="utf-8") as file:
            file.writelines(to_json(interaction_graph(one)) + "\n" for one in read_all(transcripts))
    if graphml:
        graphml.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(read_all(transcripts)):
            (graphml / f"{number:06d}.graphml").write_text(to_graphml(interaction_graph(one)), "utf-8")
    if as_json:
        click.echo(found.model_dump_json())
        return
    console = Console(highlight=False)
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("agent")
    for number in range(found.rounds):
        table.add_column(f"right in round {number}", justify="right")
    for agent in found.replies:
        cells = (found.accuracy(agent, number) for number in range(found.rounds))
        table.add_row(Text(plain(agent)), *(f"{right} of {total}" if total else "–" for right, total in cells))
    console.print(f"{found.questions} discussions")
    console.print(table)
    convinced = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("who", "convinced whom", "to a right answer", "to a wrong one"):
        convinced.add_column(title, justify="right" if title.startswith("to") else "left")
    for who, to in found.convinced.items():
        for whom, times in to.items():
            convinced.add_row(Text(plain(who)), Text(plain(whom)), str(times.rightly), str(times.wrongly))
    if found.convinced:
        console.print(convinced)


def train_student(config: Config, request: TeachRequest, *, as_json: bool, fresh: bool, add: str | None) -> None:
    folder = RunFolder.open(config, f"distill-train-{request.name}", request, fresh=fresh)
    taught = teach_shown(request, folder.path, config, quiet=as_json)
    folder.finish()
    entry = {key: value for key, value in taught.expert.model_dump(include={"model", "adapter"}).items() if value}
    if add:
        with contextlib.redirect_stdout(sys.stderr):
            add_expert.callback(request.name, add, **entry)  # type: ignore[misc]
    if as_json:
        click.echo(json.dumps(_row(taught)))
        return
    console = Console(highlight=False)
    _dropped(console, taught)
    console.print(f"Student: {taught.folder}", soft_wrap=True)
    if not add:
        flags = " ".join(f"--{key} {value}" for key, value in entry.items())
        console.print(f"Into the zoo: collegium experts add {request.name} {flags}", soft_wrap=True)


def compare_students(config: Config, request: DistillRequest, *, as_json: bool, fresh: bool, ablate: bool) -> None:
    if ablate:
        request = request.model_copy(update={"arms": [*LEVELS, TEACHERS]})
    folder = RunFolder.open(config, "distill", request, fresh=fresh)
    for arm, one in arms(request, inspect(request.transcripts, CorpusSummary())[1]):
        teach_shown(one, folder.path / one.name, config, arm=arm, quiet=as_json)
    with Collegium(config) as collegium:
        result = run_with_progress(collegium, lambda: collegium.adistil(request), quiet=as_json)
    page = folder.path / "report.html"
    if as_json:
        click.echo(json.dumps({"report": str(page), **result.report.model_dump(mode="json")}))
        return
    console = Console(highlight=False)
    console.print(methods_table(result.report.methods))
    _dropped(console, result.taught[0])
    for taught in result.taught:
        console.print(f"Student {taught.request.name}: {taught.folder}", soft_wrap=True)
    console.print(f"Report: {page.absolute()}", soft_wrap=True)


def teach_shown(request: TeachRequest, folder: Path, config: Config, *, arm: str = "", quiet: bool = False) -> Taught:
    """Teach with a progress bar on standard error."""
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True, quiet=quiet)) as bar:
        task = bar.add_task(f"teaching {request.name}")

        def shown(one: StepMetrics) -> None:
            losses = [("next token", one.next_token), ("graph", one.node), ("margin", one.margin)]
            told = ", ".join(f"{name} {value:.3f}" for name, value in losses if value is not None)
            speed = one.tokens / max(one.seconds, 1e-9)
            bar.update(
                task, completed=one.step, total=one.steps, description=f"{request.name}: {told}, {speed:.0f} tokens/s"
            )

        return teach(request, folder, experts=resolve(config), arm=arm, report=shown)


def _dropped(console: Console, taught: Taught) -> None:
    sifted = taught.sifted
    console.print(f"{sifted.lessons} of {sifted.transcripts} transcripts became lessons.")
    for what, dropped in (("question", sifted.questions_dropped), ("reply", sifted.replies_dropped)):
        for rule, found in dropped.items():
            told = f"left out {found.count} x {what}: {rule} (such as {', '.join(found.examples[:2])})"
            console.print(Text(plain(told), style="dim"))


def _row(taught: Taught) -> dict[str, Any]:
    last = taught.metrics[-1] if taught.metrics else None
    return {
        "student": str(taught.folder),
        "expert": taught.expert.model_dump(exclude_defaults=True),
        "steps": len(taught.metrics),
        "tokens": last.tokens if last else 0,
        "next_token_loss": last.next_token if last else None,
        "data": taught.sifted.model_dump(),
    }


_FRESH = click.Option(["--fresh"], is_flag=True, help="Empty the run's folder first (the ledger stays).")
_ADD = click.Option(["--add"], metavar="FILE", help="Enter the student into this configuration's zoo.")
_ABLATE = click.Option(["--ablate"], is_flag=True, help="All arms: gold, L1 to L4, L4-detached, each teacher alone.")
command.add_command(request_command("generate", GenerateRequest, generate_transcripts, _FRESH))
command.add_command(request_command("train", TeachRequest, train_student, _FRESH, _ADD))
command.add_command(request_command("run", DistillRequest, compare_students, _FRESH, _ABLATE))
