"""`collegium merge CONFIG OUT`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from orchestrator.errors import BadInput, StorageError


@click.command("merge")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0), default=0, help="Of methods that draw at random.  [default: 0]")
@click.option("--threads", type=click.IntRange(1), help="Default: the cores of this machine.")
@click.option("--device", default="cpu", show_default=True, help="cuda or cuda:1: through torch; auto: if any.")
@click.option("--shard-size", default="5GB", show_default=True, help="Most bytes of one file of weights.")
@click.option("--allow-nan", is_flag=True, help="Merge weights that are infinite or not a number all the same.")
@click.option("--plan", "only_plan", is_flag=True, help="Check everything and say what would be done; read no weights.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    config: Path,
    out: Path,
    seed: int,
    threads: int | None,
    device: str,
    shard_size: str,
    allow_nan: bool,
    only_plan: bool,
    as_json: bool,
) -> None:
    """Merge models into one: CONFIG is mergekit's YAML, OUT the folder for the result (it must not exist).

    Nothing is downloaded unless a model is no folder but a hub id. Paths are relative to the current folder.
    """
    from merging.device import chosen
    from merging.recipe import load
    from merging.writer import WriteError

    shard_bytes = _bytes(shard_size)
    try:
        recipe = load(config).seeded(seed)
        settings = {"allow_nan": allow_nan, "device": chosen(device)}
        if only_plan:
            _plan(recipe, settings, as_json)
            return
        result = _merged(recipe, out, {**settings, "threads": threads, "shard_bytes": shard_bytes})
    except WriteError as error:
        raise StorageError(str(error)) from error
    except ValueError as error:
        raise BadInput(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(result), default=str))
        return
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{result.out}: {result.parameters / 1e6:,.1f} million parameters in {result.tensors} tensors, "
        f"{result.bytes_read / 1e9:.2f} GB read, {result.bytes_written / 1e9:.2f} GB written in {result.seconds:.1f} s"
    )


def _merged(recipe: Any, out: Path, settings: dict[str, Any]) -> Any:
    import sys

    from merging.merge import merge

    if not sys.stderr.isatty():
        return merge(recipe, out, **settings)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"merging ({recipe.method})", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return merge(recipe, out, **settings, progress=told)


def _plan(recipe: Any, settings: dict[str, Any], as_json: bool) -> None:
    from merging.merge import out_config
    from merging.plan import Merge

    plan = Merge(recipe, **settings)
    told = {
        "method": recipe.method,
        "models": [str(ref) for ref in plan.models],
        "tensors": {name: [target.dtype, list(target.shape)] for name, target in plan.targets.items()},
        "config": out_config(plan),
        "notes": plan.notes,
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    size = sum(target.size for target in plan.targets.values())
    click.echo(f"{recipe.method} of {', '.join(told['models'])}: {len(plan.targets)} tensors, {size:,} numbers")
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    size = float(match[1]) * 1000 ** "KMGT".find(match[2].upper()) * 1000 if match and match[2] else 0.0
    size = float(match[1]) if match and not match[2] else size
    if not size >= 1:
        raise BadInput(f"--shard-size: {text[:40]!r} is no size such as 5GB")
    return int(size)
