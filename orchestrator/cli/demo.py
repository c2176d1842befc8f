"""`collegium demo`: the main job end to end, told as a story. Real models, real engine, generated questions."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.cli.demo_page import end_with_page
from orchestrator.cli.discussion_chapter import chapter as confer
from orchestrator.cli.distill_chapter import chapter as distil
from orchestrator.cli.glue import chapter as glue
from orchestrator.cli.options import configuration
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.evaluation.answer import RunRequest, RunResult
from orchestrator.evaluation.report.data import RunReport, SampleQuestion
from orchestrator.evaluation.report.headline import headline
from orchestrator.evaluation.report.terminal import matrix_table, methods_table, timeline
from orchestrator.experts.demo import ready
from orchestrator.inference.expert import Expert

QUESTIONS = 96
FIT_QUESTIONS = 96


@click.command("demo")
@click.option("--questions", default=QUESTIONS, show_default=True, help="Test questions, an equal share of each task.")
@click.option("--fit-questions", default=FIT_QUESTIONS, show_default=True, help="Validation questions.")
@click.option("--page/--no-page", default=None, help="End with the page on these runs; default: at a terminal.")
def command(questions: int, fit_questions: int, page: bool | None) -> None:
    """Several real experts answer, end to end, on this machine."""
    started = time.monotonic()
    console = Console(highlight=False)
    config = configuration("demo")
    request = RunRequest(task="mixed", questions=questions, fit_questions=fit_questions)
    if not ready():
        console.print("Converting the demo models (once, about 20 s) ...")
    with Collegium(config) as collegium:
        _chapter(console, "1. The zoo")
        _zoo(console, list(collegium.experts.values()), config.experts)
        _chapter(console, "2. Every expert answers, each loaded once per batch of work")
        console.print(
            f"{fit_questions} validation questions to learn who is good at what, then {questions} test questions, "
            f"for each of {len(collegium.experts)} experts. One engine stays up; only weights are swapped.\n"
        )
        result = run_with_progress(collegium, lambda: collegium.arun(request))
        report = result.report
        console.print()
        console.print(timeline(report.timeline, min(console.width, 100)))
        _loads(console, report)
        if report.matrix:
            console.print()
            console.print(matrix_table(report.matrix, width=console.width))
        _chapter(console, "3. Which way of using them pays?")
        console.print(methods_table(report.methods, width=console.width))
        for method in report.methods:
            console.print(Text(f"{method.method}: {method.note}", style="dim"))
        console.print(Padding(Text(str(headline(report)), style="bold"), (1, 0)))
        _question(console, result)
        path = collegium.run_folder("run", request).absolute() / "report.html"
        _chapter(console, "4. ReConcile: experts confer")
        confer(console, collegium, fit_questions)
        _chapter(console, "5. Model-GLUE: a better zoo of this one")
        glue(console, collegium, questions, fit_questions)
        _chapter(console, "6. MAGDi: a student learns what a panel said")
        distil(console, collegium, result)
    _chapter(console, f"Done in {time.monotonic() - started:.0f} s")
    console.print("Run it again: every reply comes from the ledger, none is generated twice.")
    console.print(f"Report (open it in a browser): {path}", soft_wrap=True)
    end_with_page(console, config, path.parent.name, sys.stdout.isatty() if page is None else page)


def _chapter(console: Console, title: str) -> None:
    console.print()
    console.rule(Text(title, style="bold"), align="left", style="dim")


def _zoo(console: Console, experts: Sequence[Expert], config: object) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Expert", "What it is", "Shape", "Good at, it says"):
        table.add_column(column)
    shapes = {shape: chr(ord("A") + place) for place, shape in enumerate(dict.fromkeys(e.shape for e in experts))}
    for expert in experts:
        adapter = expert.weights.adapter if expert.weights else None
        what = f"{expert.folder.name}" + (f" + adapter ({_mib(adapter)})" if adapter else "")
        skills = ", ".join(config[expert.name].skills) if isinstance(config, dict) else ""
        table.add_row(expert.name, what, shapes[expert.shape], skills)
    console.print(table)


def _mib(folder: object) -> str:
    from pathlib import Path

    size = sum(file.stat().st_size for file in Path(str(folder)).glob("*.safetensors"))
    return f"{size / 2**20:.1f} MiB"


def _loads(console: Console, report: RunReport) -> None:
    swaps = [stay for stay in report.timeline if stay.way != "start"]
    if not swaps:
        return
    mean = sum(stay.load_end - stay.load_start for stay in swaps) / len(swaps)
    tokens = sum(stay.tokens for stay in report.timeline)
    busy = sum(stay.end - stay.load_end for stay in report.timeline)
    console.print(
        Text(
            f"{len(report.timeline)} loads for {len({stay.expert for stay in report.timeline})} experts; a swap took "
            f"{mean:.2f} s on average; {tokens:,} tokens in {busy:.0f} s",
            style="dim",
        )
    )


def _question(console: Console, result: RunResult) -> None:
    """One question on which the mixture was right and the best single expert was not, if there is one."""
    samples = result.report.samples
    rescued = [sample for sample in samples if _rescued(sample)] or list(samples)
    if not rescued:
        return
    sample = rescued[0]
    console.print(Text("One question, as an example:", style="dim"))
    console.print(Padding(Text(sample.question), (0, 0, 0, 2)))
    for place, entry in enumerate(sample.ranking[:3], 1):
        reply = sample.answers.get(entry.expert)
        verdict = "was not asked"
        if reply:
            verdict = f"answers {reply.written or reply.answer!r}, {'right' if reply.right else 'wrong'}"
        console.print(Text(f"  {place}. {entry.expert} (expected right: {entry.score:.0%}) {verdict}"))
    if sample.gold is not None:
        console.print(Text(f"  gold answer: {sample.gold}", style="dim"))


def _rescued(sample: SampleQuestion) -> bool:
    mixture, best = sample.answers.get("mixture"), sample.answers.get("best")
    return bool(mixture and best and mixture.right and not best.right)
