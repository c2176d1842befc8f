"""`collegium generate`, `teach` and `distill`: transcripts, a student, several students compared."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.corpus import CorpusSummary
from distill.statistics import ReplyTally
from distill.train import StepMetrics
from orchestrator.cli.experts import add_expert
from orchestrator.cli.help import OptionsInGroups
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.collegium import Collegium
from orchestrator.evaluation.report.formats import count, percent, plain
from orchestrator.evaluation.report.terminal import methods_table
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
from orchestrator.pipelines.distill_compare import DistillResult
from orchestrator.pipelines.distill_generate import Generated, GenerateRequest
from orchestrator.pipelines.teaching import TeachRequest


def show_generated(console: Console, finished: Finished[GenerateRequest, Generated]) -> None:
    """Display how many transcripts were written, and where."""
    found = finished.result
    console.print(
        f"{found.transcripts} transcripts, {count(found.replies)} replies ({count(found.cached_replies)} from the "
        f"ledger), {count(found.generated_tokens)} tokens generated; the panel was right on "
        f"{percent(found.right / max(1, found.transcripts))}."
    )
    console.print(f"Transcripts: {found.path}", soft_wrap=True)


def generated_document(finished: Finished[GenerateRequest, Generated]) -> dict[str, Any]:
    """Figures of the generated transcripts, as JSON."""
    return {**dataclasses.asdict(finished.result), "path": str(finished.result.path)}


@click.command("inspect")
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
        tallies = (found.replies[agent].get(number, ReplyTally()) for number in range(found.rounds))
        table.add_row(Text(plain(agent)), *map(_right, tallies))
    console.print(f"{found.questions} discussions")
    console.print(table)
    convinced = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("who", "convinced whom", "to a right answer", "to a wrong one", "to one without gold"):
        convinced.add_column(title, justify="right" if title.startswith("to") else "left")
    for who, to in found.convinced.items():
        for whom, times in to.items():
            convinced.add_row(
                Text(plain(who)), Text(plain(whom)), str(times.rightly), str(times.wrongly), str(times.unknown)
            )
    if found.convinced:
        console.print(convinced)


def _right(tally: ReplyTally) -> str:
    """Right replies of those that can be judged; what cannot be is none of them."""
    judged = f"{tally.right} of {tally.total}" if tally.total else "–"
    return f"{judged} ({tally.unknown} without gold)" if tally.unknown else judged


def teach_first(collegium: Collegium, request: TeachRequest, folder: Path, quiet: bool) -> None:
    """Teach with a progress bar; the pipeline then finds the student."""
    teach_with_progress(request, folder, collegium, quiet=quiet)


def add_to_zoo(finished: Finished[TeachRequest, Taught]) -> None:
    """Add the student to the zoo that `--add` names, if it names one."""
    if target := finished.options["add"]:
        with contextlib.redirect_stdout(sys.stderr):
            add_expert.callback(finished.request.name, target, discover=False, **_entry(finished.result))  # type: ignore[misc]


def show_taught(console: Console, finished: Finished[TeachRequest, Taught]) -> None:
    """Display where the student is and how it joins a zoo."""
    taught = finished.result
    add_to_zoo(finished)
    _dropped(console, taught)
    console.print(f"Student: {taught.folder}", soft_wrap=True)
    if not finished.options["add"]:
        flags = " ".join(f"--{key} {value}" for key, value in _entry(taught).items())
        console.print(f"Into the zoo: collegium experts add {taught.request.name} {flags}", soft_wrap=True)


def taught_document(finished: Finished[TeachRequest, Taught]) -> dict[str, Any]:
    """The student's figures, as JSON."""
    add_to_zoo(finished)
    return _row(finished.result)


def ablated(request: DistillRequest, options: Mapping[str, Any]) -> DistillRequest:
    """The request with one arm per level if `--ablate` is given."""
    return request.model_copy(update={"arms": [*LEVELS, TEACHERS]}) if options["ablate"] else request


def teach_arms(collegium: Collegium, request: DistillRequest, folder: Path, quiet: bool) -> None:
    """Teach every arm with a progress bar; the pipeline then finds the students."""
    for arm, one in arms(request, inspect(request.transcripts, CorpusSummary())[1]):
        teach_with_progress(one, folder / one.name, collegium, arm=arm, quiet=quiet)


def show_compared(console: Console, finished: Finished[DistillRequest, DistillResult]) -> None:
    """Display the compared students and the report's path."""
    result = finished.result
    console.print(methods_table(result.report.methods, width=console.width))
    _dropped(console, result.taught[0])
    for taught in result.taught:
        console.print(f"Student {taught.request.name}: {taught.folder}", soft_wrap=True)
    console.print(f"Report: {finished.report}", soft_wrap=True)


def compared_document(finished: Finished[DistillRequest, DistillResult]) -> dict[str, Any]:
    """The comparison's report, as JSON."""
    return {"report": str(finished.report), **finished.result.report.model_dump(mode="json")}


def teach_with_progress(
    request: TeachRequest, folder: Path, collegium: Collegium, *, arm: str = "", quiet: bool = False
) -> Taught:
    """Teach with a progress bar on standard error."""
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True, quiet=quiet)) as bar:
        task = bar.add_task(f"teaching {request.name}")

        def show_progress(one: StepMetrics) -> None:
            losses = [("next token", one.next_token), ("graph", one.node), ("margin", one.margin)]
            line = ", ".join(f"{name} {value:.3f}" for name, value in losses if value is not None)
            speed = one.tokens / max(one.seconds, 1e-9)
            bar.update(
                task, completed=one.step, total=one.steps, description=f"{request.name}: {line}, {speed:.0f} tokens/s"
            )

        return teach(request, folder, experts=collegium.experts, arm=arm, report=show_progress)


def _dropped(console: Console, taught: Taught) -> None:
    sifted = taught.sifted
    console.print(f"{sifted.lessons} of {sifted.transcripts} transcripts became lessons.")
    for what, dropped in (("question", sifted.questions_dropped), ("reply", sifted.replies_dropped)):
        for rule, found in dropped.items():
            line = f"left out {found.count} x {what}: {rule} (such as {', '.join(found.examples[:2])})"
            console.print(Text(plain(line), style="dim"))


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


def _entry(taught: Taught) -> dict[str, str]:
    """The student as the options of `collegium experts add`."""
    return {key: value for key, value in taught.expert.model_dump(include={"model", "adapter"}).items() if value}


class DistillCommand(OptionsInGroups, click.Group):
    """`collegium distill` with its flags; `inspect` below it, and the names of earlier versions."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, or with a note the one that an old name means."""
        if cmd_name in OLD:
            now = f"collegium {OLD[cmd_name].name}"
            click.echo(f"collegium distill {cmd_name} is now {now}; the old name goes with the next version", err=True)
        return super().get_command(ctx, cmd_name) or OLD.get(cmd_name)


_ADD = click.Option(["--add"], metavar="FILE", help="Enter the student into this configuration's zoo.")
_ABLATE = click.Option(
    ["--ablate"], is_flag=True, help="All arms: gold, L1 to L4, L4-detached, on-policy, each teacher alone."
)
generate_command = pipeline_command("generate", show_generated, generated_document)
teach_command = pipeline_command("teach", show_taught, taught_document, _ADD, before=teach_first)
distill_command = pipeline_command(
    "distill", show_compared, compared_document, _ABLATE, adapt=ablated, before=teach_arms
)
OLD: Mapping[str, click.Command] = {"generate": generate_command, "train": teach_command, "run": distill_command}


@click.pass_context
def _distill(ctx: click.Context, /, **flags: Any) -> None:
    if ctx.invoked_subcommand is None:
        ctx.invoke(distill_command, **flags)


command = DistillCommand(
    "distill",
    callback=_distill,
    params=distill_command.params,
    help=distill_command.help,
    invoke_without_command=True,
    commands={"inspect": inspect_transcripts},
)
