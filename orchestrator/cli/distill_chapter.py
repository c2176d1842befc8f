"""The demo's chapter on distillation: a student learns for half a minute from recorded discussions, and is tested."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from distill.corpus import CorpusSummary
from orchestrator.cli.distill import teach_with_progress
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import demo_zoo
from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.answering import answer_all
from orchestrator.evaluation.report.formats import percent
from orchestrator.experts.zoo import resolve
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.distill import read_all, with_students
from orchestrator.pipelines.teaching import TeachRequest
from orchestrator.run_folder import RunFolder

NAME, TOKENS, STEP_TOKENS = "student", 10_000, 500


def recorded() -> Path:
    """Discussions among the demo zoo's experts on training questions."""
    return demo_zoo().parent / "transcripts.jsonl.gz"


def chapter(console: Console, collegium: Collegium, result: RunResult) -> None:
    """Teach a student and let it answer the test questions of the chapters before, alone."""
    sifted = CorpusSummary()
    found = list(read_all([str(recorded())], sifted))
    right = sum(bool(one.is_right(one.answer)) for one in found) / len(found)
    generated = sum(turn.completion_tokens for one in found for turn in one.turns) / len(found)
    console.print(
        f"{len(found)} recorded discussions of {len(found[0].seats)} experts on training questions become interaction "
        f"graphs: who said what in which round, who had read whom, who was right. The panel is right on "
        f"{percent(right)} of them and generates {generated:.0f} tokens per question. A student of one expert's size "
        f"learns from {TOKENS:,} tokens of it.\n"
    )
    request = TeachRequest(transcripts=[str(recorded())], name=NAME, tokens=TOKENS, step_tokens=STEP_TOKENS)
    folder = RunFolder.open(collegium.config, "demo-distill", request)
    taught = teach_with_progress(request, folder.path, collegium)
    student = resolve(with_students(collegium.config, [taught]))[NAME]
    base = {one.question.id: one for outcome in result.outcomes if outcome.name == "base" for one in outcome.answers}
    questions = [one.question for one in base.values()]
    replies = run_with_progress(
        collegium, lambda: answer_all(collegium.pool, [student], questions, Sampling(max_tokens=160), 0)
    )
    answered = [replies[question.id, NAME] for question in questions]
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("On the test questions", "Right", "Tokens generated per question"):
        table.add_column(column, justify="left" if column.startswith("On") else "right")
    for name, rights, tokens in (
        (
            "untaught student",
            [one.right for one in base.values()],
            [u.completion for o in base.values() for u in o.used],
        ),
        ("student, taught", [one.right for one in answered], [one.completion for one in answered]),
    ):
        spent = sum(completion.completion_tokens for completion in tokens if completion) / len(rights)
        table.add_row(Text(name), percent(sum(rights) / len(rights)), f"{spent:.0f}")
    console.print(table)
    console.print(f"Student: {taught.folder}", soft_wrap=True, style="dim")
