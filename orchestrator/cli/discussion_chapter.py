"""The demo's chapter on discussions: a handful of questions discussed, one transcript shown."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from agents.figures import changes, fate
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.evaluation.answer import RunRequest
from orchestrator.evaluation.report.formats import percent
from orchestrator.evaluation.report.transcript_terminal import transcript_table

QUESTIONS = 8


def chapter(console: Console, collegium: Collegium, fit_questions: int) -> None:
    """One round of ReConcile on one question of each task; first replies come from the ledger."""
    request = RunRequest(
        task="mixed",
        questions=QUESTIONS,
        fit_questions=fit_questions,
        methods=["vote", "reconcile"],
        rounds=1,
        talk_questions=0,
    )
    console.print(
        f"{QUESTIONS} questions. All {len(collegium.experts)} experts have answered; now each reads all answers, with "
        "reasons and calibrated confidences, and answers again. Votes count the log-odds of being right. (A run of "
        "your own first learns from validation questions which ones are worth discussing; here all are discussed.)\n"
    )
    result = run_with_progress(collegium, lambda: collegium.arun(request))
    held = next(outcome.transcripts for outcome in result.outcomes if outcome.name == "reconcile")
    scores = {method.method: method.overall.value for method in result.report.methods}
    changed = sum(1 for one in held for _ in changes(one))
    order = {"rescued": 0, "kept right": 1, "corrupted": 2}
    chosen = min(held, key=lambda one: (order.get(fate(one) or "", 3), -sum(1 for _ in changes(one))))
    console.print(Padding(Text(chosen.question.question), (1, 0, 1, 2)))
    console.print(transcript_table(chosen))
    gold, answer = chosen.question.answer, chosen.as_written(chosen.answer)
    console.print(Text(f"\nRight answer: {gold}. Team's answer: {answer or 'none'}", style="bold"))
    console.print(
        Text(
            f"Of {QUESTIONS} questions the majority of the first replies gets {percent(scores['vote'])} right, the "
            f"discussion {percent(scores['reconcile'])}; {changed} answers were changed. Too few questions to tell: "
            "collegium run --methods reconcile --compare does.",
            style="dim",
        )
    )
