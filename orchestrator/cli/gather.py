"""`collegium gather MODEL TEXTS OUT`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.errors import BadInput

MAX_BYTES = 2**28


@click.command("gather")
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("texts", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--kind", type=click.Choice(["gram", "fisher"]), default="gram", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: Path, texts: Path, out: Path, kind: str, as_json: bool) -> None:
    """Gather what merge_method regmean (gram) or fisher needs to know of MODEL, by running it over TEXTS (one a line).

    OUT (safetensors) is named in the recipe: `parameters: {statistics: OUT}` of that model.
    """
    from orchestrator.experts.statistics import gather

    if texts.stat().st_size > MAX_BYTES:
        raise BadInput(f"{texts}: larger than {MAX_BYTES} bytes")
    try:
        lines = [line for line in texts.read_text("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise BadInput(f"{texts}: not UTF-8: {error}") from error
    if not lines:
        raise BadInput(f"{texts}: no lines")
    tokens = gather(model, lines, "fisher" if kind == "fisher" else "gram", out)
    summary = {"out": str(out), "kind": kind, "texts": len(lines), "tokens": tokens}
    click.echo(json.dumps(summary) if as_json else f"{out}: {kind} of {tokens:,} tokens in {len(lines)} texts")
