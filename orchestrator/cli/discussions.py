"""`collegium convincing` and `collegium transcripts`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from agents.figures import fate
from agents.simple_transcript import read
from agents.transcript import Transcript, TranscriptError, schema
from orchestrator.cli.pipeline import Finished, pipeline_command
from orchestrator.errors import BadInput
from orchestrator.evaluation.convincing import ConvincingRequest, ConvincingResult
from orchestrator.evaluation.report import RunReport, write
from orchestrator.evaluation.report.data import Comparison, Cost, MethodResult
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, wilson


def show_convincing(console: Console, finished: Finished[ConvincingRequest, ConvincingResult]) -> None:
    """Display what convinced whom, and where it is stored."""
    found = finished.result.samples
    for one in found:
        console.print(
            f"{one.expert}, {one.task}: {one.before} → {one.answer}, utility {one.utility:+.2f}", markup=False
        )
    path = finished.request.out or finished.folder / "convincing.jsonl"
    console.print(f"{len(found)} samples: {path}. Show them with: collegium run --convincing {path}", soft_wrap=True)


convincing_command = pipeline_command(
    "convincing", show_convincing, lambda finished: [one.model_dump() for one in finished.result.samples]
)


@click.command("transcripts")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Page to write; default: beside the file, .html.")
@click.option(
    "--limit",
    "--most",
    "limit",
    default=2_000,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of transcripts to read.",
)
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON schema of a line, and end.")
def transcripts_command(file: Path | None, out: Path | None, limit: int, wants_schema: bool) -> None:
    """Transcripts of discussions (JSON Lines, .gz too) as a page to read: ours, or one object per reply with question,
    agent, round, reply, answer."""
    if wants_schema:
        click.echo(json.dumps(schema(), indent=2))
        return
    if file is None:
        raise BadInput("transcripts: which file? A run that discussed leaves transcripts.jsonl.gz in its folder")
    try:
        held = list(read(file, limit))
    except TranscriptError as error:
        raise BadInput(str(error)) from error
    if not held:
        raise BadInput(f"{file}: no transcripts in it")
    target = out or file.with_name(f"{file.name.split('.')[0]}.html")
    write(_page(file, held), target)
    click.echo(f"{len(held)} transcripts: {target.absolute()}")


def _page(file: Path, held: list[Transcript]) -> RunReport:
    """A report of transcripts alone; discussions with gold answers get their accuracy."""
    by_name: dict[str, list[Transcript]] = {}
    for one in held:
        if one.question.answer is not None:
            by_name.setdefault(one.discussion, []).append(one)
    # On the questions that all of them discussed, so that differences are paired.
    by_question = {name: {one.question.id: one for one in rows} for name, rows in by_name.items()}
    shared = sorted(set.intersection(*(set(rows) for rows in by_question.values()))) if len(by_name) > 1 else []
    return RunReport(
        title=f"Transcripts: {file.name}",
        command=f"collegium transcripts {file.name}",
        created=datetime.now(UTC),
        split=held[0].question.split or "",
        fitted_on="",
        seed=held[0].seed,
        methods=[_method(name, rows) for name, rows in by_name.items()],
        comparisons=_compared({name: [rows[id] for id in shared] for name, rows in by_question.items()}),
        transcripts=held,
    )


def _compared(by_name: Mapping[str, Sequence[Transcript]]) -> list[Comparison]:
    """The best discussion minus each other one, paired over the questions that they share."""
    scores = {name: [float(one.is_right(one.answer) is True) for one in rows] for name, rows in by_name.items()}
    ranked = sorted(scores, key=lambda name: -sum(scores[name]))
    return [
        Comparison(
            method=ranked[0],
            baseline=other,
            difference=paired_difference(scores[ranked[0]], scores[other]),
            p=mcnemar(scores[ranked[0]], scores[other]),
        )
        for other in ranked[1:]
        if scores[other]
    ]


def _method(name: str, held: list[Transcript]) -> MethodResult:
    right = sum(one.is_right(one.answer) is True for one in held)
    rescued = sum(fate(one) == "rescued" for one in held)
    return MethodResult(
        method=name,
        accuracies={},
        overall=wilson(right, len(held)),
        cost=Cost(
            calls=sum(one.calls for one in held),
            prompt_tokens=sum(turn.prompt_tokens for one in held for turn in one.turns),
            completion_tokens=sum(turn.completion_tokens for one in held for turn in one.turns),
        ),
        note=f"{rescued} rescued, {sum(fate(one) == 'corrupted' for one in held)} corrupted",
    )
