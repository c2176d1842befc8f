"""`collegium task SOURCE`: a file of questions as it is understood, before anybody answers it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.answers import canonical
from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.report.formats import clipped, plain
from orchestrator.evaluation.tasks import names, parse_columns, source_of
from orchestrator.evaluation.tasks.inspection import Inspection, Repeats, inspect

TEXT = 300
"""Characters of a question that are shown."""


@click.command("task")
@click.argument("source")
@click.option("--columns", metavar="NAME=COLUMN,...", help="Which column holds what: question=prompt,answer=target.")
@click.option("--show", type=click.IntRange(0, 1_000), default=3, show_default=True, help="Questions to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(source: str, columns: str | None, show: int, as_json: bool) -> None:
    """Show how SOURCE is read: its first questions with their gold answers, the kinds and why, splits, duplicates, and
    questions that stand in two splits.

    SOURCE is a file (JSON Lines, JSON, CSV, TSV, Parquet; .gz or .zst), a folder of files, hf:NAME, or lm-eval:NAME.
    """
    if source in names():
        raise BadInput(f"task {source!r} is generated, without end: `collegium run --task {source}` asks its questions")
    found = inspect(source_of(source, parse_columns(columns)), show)
    if as_json:
        click.echo(json.dumps(_json(found), ensure_ascii=False))
        return
    show_inspection(Console(highlight=False), found)


def show_inspection(console: Console, found: Inspection) -> None:
    """Print what was understood."""
    for question in found.first:
        for line in _question(question):
            console.print(line, soft_wrap=True)
        console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    total = sum(found.splits.values())
    table.add_row("questions", f"{total:,}" + (f", {found.without_gold:,} without gold" if found.without_gold else ""))
    table.add_row("splits", _counts(found.splits) + (f" ({plain(found.split_note)})" if found.split_note else ""))
    table.add_row("kinds", _counts(found.kinds))
    table.add_row("tasks", _counts(found.tasks))
    for reason in found.reasons:
        table.add_row("read so", Text(plain(reason)))
    table.add_row("duplicates", _repeats(found.duplicates))
    table.add_row("other gold", _repeats(found.contradictions))
    for pair, repeats in found.leaks.items():
        table.add_row(f"in {plain(pair)}", _repeats(repeats))
    if not found.leaks and len(found.splits) > 1:
        table.add_row("leaks", "no question stands in two splits")
    console.print(table)


def _question(question: Question) -> list[Text]:
    lines = [Text(clipped(plain(question.question), TEXT), style="bold")]
    lines += [
        Text(f"  {plain(label)}: {clipped(plain(text), 100)}") for label, text in (question.choices or {}).items()
    ]
    gold = "none" if question.answer is None else clipped(plain(str(question.answer)), 100)
    meant = None if question.answer is None else canonical(question.answer, question.kind, question.choices)
    if meant is not None and meant != str(question.answer).casefold() and question.kind not in ("text", "open", "code"):
        gold += f" (read as {clipped(plain(meant), 60)})"
    if question.accepted:
        gold += f", or {clipped(plain(', '.join(question.accepted)), 100)}"
    lines.append(
        Text(f"  gold {gold}", style="green").append(f"  {question.kind}, id {plain(question.id)}", style="dim")
    )
    return lines


def _counts(counts: dict[str, int]) -> Text:
    return Text(", ".join(f"{plain(name)} {count:,}" for name, count in counts.items()))


def _repeats(repeats: Repeats) -> Text:
    if not repeats.count:
        return Text("none")
    equal_pairs = ", ".join(f"{first} = {second}" for first, second in repeats.examples)
    return Text(
        f"{repeats.count:,}: {plain(equal_pairs)}{' ...' if repeats.count > len(repeats.examples) else ''}", "yellow"
    )


def _json(found: Inspection) -> dict[str, Any]:
    body = asdict(found)
    body["first"] = [question.model_dump(mode="json") for question in found.first]
    return body
