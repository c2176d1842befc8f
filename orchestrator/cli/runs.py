"""`collegium profile` and `collegium run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.cli.lines import tell
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.collegium import Collegium
from orchestrator.errors import NotScored
from orchestrator.evaluation import decisions
from orchestrator.evaluation.answer import RunRequest, RunResult, methods_named
from orchestrator.evaluation.compare import estimate
from orchestrator.evaluation.metrics import metrics_named
from orchestrator.evaluation.outcomes import OutcomeKind, counts, failure_lines, outcome_of
from orchestrator.evaluation.profile import Profile, ProfileRequest, Replies
from orchestrator.evaluation.report.formats import plain
from orchestrator.evaluation.report.terminal import (
    comparisons_table,
    judged_table,
    matrix_table,
    methods_table,
    timeline,
)


def show_profile(console: Console, finished: Finished[ProfileRequest, Profile]) -> None:
    """Display the experts' accuracies and where the correctness table is."""
    console.print(matrix_table(finished.result.matrix, width=console.width))
    show_outcomes(console, finished.result.replies)
    request, rows = finished.request, len(finished.result.table.rows)
    fewer = decisions.fewer(request.questions, rows, request.split)
    for line in [*fewer, *decisions.cut(finished.result.replies.values(), request.max_tokens)]:
        tell(f"Decided: {line}")
    console.print(f"Correctness table: {finished.folder / 'table.jsonl'}", soft_wrap=True)


def show_outcomes(console: Console, replies: Replies) -> None:
    """What became of the replies, and who failed, where there is something to say."""
    found = counts(outcome_of(one) for one in replies.values())
    if found.abstained or found.unreadable or found.failed:
        console.print(
            f"Replies: {found.right} right, {found.wrong} wrong, {found.abstained} abstained, "
            f"{found.unreadable} unreadable, {found.failed} failed"
        )
    for line in failure_lines(replies):
        console.print(plain(line), style="red", soft_wrap=True, markup=False)


def profile_document(finished: Finished[ProfileRequest, Profile]) -> dict[str, Any]:
    """The profile's figures, as JSON."""
    return {
        "table": str(finished.folder / "table.jsonl"),
        "matrix": finished.result.matrix.model_dump(),
        "counts": _counted(finished.result.replies),
        "failures": failure_lines(finished.result.replies),
    }


def _counted(replies: Replies) -> dict[str, Any]:
    """Expert -> what became of its replies."""
    kinds: dict[str, list[OutcomeKind]] = {}
    for (_, expert), one in replies.items():
        kinds.setdefault(expert, []).append(outcome_of(one))
    return {expert: counts(own).model_dump() for expert, own in kinds.items()}


def check(collegium: Collegium, request: RunRequest, folder: Path, quiet: bool) -> None:
    """Unknown methods are refused, and a comparison's cost is told, before anything starts."""
    methods_named(request.methods, collegium.config)
    metrics_named(request.metrics, collegium.config.metrics)
    if request.compare:
        cost = estimate(request, collegium.config, collegium.experts)
        Console(stderr=True).print(f"Estimated cost: {cost}", soft_wrap=True)


def show_run(console: Console, finished: Finished[RunRequest, RunResult]) -> None:
    """Display accuracies, comparisons and the workers' timeline."""
    report = finished.result.report
    if report.matrix:
        console.print(matrix_table(report.matrix, width=console.width))
    if report.methods:
        console.print(methods_table(report.methods, width=console.width))
    if report.comparisons:
        console.print(comparisons_table(report.comparisons))
    if report.judged:
        console.print(judged_table(report.judged))
    console.print(timeline(report.timeline, console.width))
    show_outcomes(console, finished.result.replies)
    for line in report.decisions:
        tell(f"Decided: {line}")
    console.print(f"Report: {finished.report}", soft_wrap=True)


def run_document(finished: Finished[RunRequest, RunResult]) -> dict[str, Any]:
    """The run's report without its transcripts, as JSON."""
    report = finished.result.report.model_dump(mode="json", exclude={"transcripts", "samples"})
    return {"report": str(finished.report), **report}


def scored_wholly(result: Profile | RunResult) -> None:
    """Raises `NotScored` where a scorer of one's own failed on some answers: the report has them as failed."""
    reasons = [one.unscored for one in result.replies.values() if one.unscored is not None]
    if isinstance(result, RunResult):
        reasons += [one.unscored for each in result.outcomes for one in each.answers if one.unscored is not None]
    if reasons:
        raise NotScored(f"--score failed on {len(reasons)} answers, which count as failed: {reasons[0]}")


profile_command = pipeline_command("profile", show_profile, profile_document, after=scored_wholly)
run_command = pipeline_command("run", show_run, run_document, before=check, after=scored_wholly)
