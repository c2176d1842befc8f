"""`collegium table import FILE` and `collegium table export FILE`: routing tables of other projects and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from orchestrator.errors import BadInput, StorageError
from orchestrator.evaluation.route import read_table
from router.importers import FORMATS, import_table
from router.importers.table_import import export_rows
from router.row import TableError

LONG = (".jsonl", ".csv", ".parquet")


@click.group("table")
def command() -> None:
    """Correctness tables: read those of other projects, write ours for them."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Table to write; default: beside FILE, .table.jsonl.")
@click.option("--format", type=click.Choice([one.name for one in FORMATS]), help="Format; default: by the columns.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def import_command(file: Path, out: Path | None, format: str | None, as_json: bool) -> None:
    """Read FILE (a file or folder of records) as a correctness table, for eval-router and route.

    Formats: RouterBench (wide, with costs), one record per question and model (LLMRouter, EmbedLLM), RouterArena's and
    LLMRouterBench's results, scores by model, RouterEval's matrices, preference pairs and ratings (RouteLLM).
    """
    out = out or file.with_name(f"{file.name.split('.')[0]}.table.jsonl")
    try:
        found = import_table(file.expanduser(), format)
        found.table.write(out)
    except TableError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror or error}") from error
    correct = found.table.correct
    summary: dict[str, Any] = {
        "out": str(out),
        "format": found.format,
        "records": found.records,
        "questions": len(found.table.rows),
        "experts": {
            name: {"scored": int(seen), "mean": round(float(mean), 4)}
            for name, seen, mean in zip(
                found.table.experts, (~np.isnan(correct)).sum(0), np.nanmean(correct, 0), strict=True
            )
        },
        "splits": list(found.table.splits),
        "costs": any("cost" in row.extra for row in found.table.rows),
    }
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
        return
    click.echo(f"{out}: {summary['questions']:,} questions, {len(found.table.experts)} experts (format {found.format})")
    for name, one in summary["experts"].items():
        click.echo(f"  {name}: mean score {one['mean']:.3f} over {one['scored']:,} questions")


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def export_command(file: Path, out: Path) -> None:
    """Write the correctness table FILE to OUT in the long form: one record per question and expert.

    Its columns: prompt, model, score, and cost, prediction, task, split where they are known. OUT ends in .jsonl, .csv
    or .parquet.
    """
    table = read_table(file.expanduser())
    records = export_rows(table.rows, table.experts)
    try:
        count = _written(records, out)
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror or error}") from error
    click.echo(f"{out}: {count:,} records of {len(table.rows):,} questions and {len(table.experts)} experts")


def _written(records: Iterator[dict[str, Any]], out: Path) -> int:
    held = list(records)
    names = list(dict.fromkeys(name for record in held for name in record))
    if out.suffix == ".jsonl":
        out.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in held), "utf-8")
    elif out.suffix == ".csv":
        out.write_text(_csv(held, names), "utf-8", newline="")
    elif out.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        columns = {
            name: [json.dumps(cell) if isinstance(cell := record.get(name), dict | list) else cell for record in held]
            for name in names
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), out)
    else:
        raise BadInput(f"{out}: the name must end in {', '.join(LONG)}")
    return len(held)


def _csv(records: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(cell) if isinstance(cell, dict | list) else cell for name, cell in record.items()}
        for record in records
    )
    return text.getvalue()
