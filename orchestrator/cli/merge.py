"""`collegium merge CONFIG OUT`.

Run here and not through the SDK, as the other pipelines are: importing what experts, workers and reports need takes
longer than merging small models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

from merging.merge import MergeSummary
from orchestrator.cli.merge_options import explain_foreign, foreign_options
from orchestrator.cli.options import positional, request_command
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.pipelines.merge import MergeRequest, recipe_of, written


def show(summary: MergeSummary) -> None:
    """Display a merge's notes, size and time."""
    for note in summary.notes:
        click.echo(f"note: {note}", err=True)
    sizes = f"{summary.bytes_read / 1e9:.2f} GB read, {summary.bytes_written / 1e9:.2f} GB written"
    click.echo(
        f"{summary.out}: {summary.parameters / 1e6:,.1f} million parameters in {summary.tensors} tensors, "
        f"{sizes} in {summary.seconds:.1f} s"
    )


def run(config: Config, request: MergeRequest, *, as_json: bool, **options: Any) -> None:
    """Merge, with the share that is done on standard error."""
    request = plan_only(request, options)
    try:
        with Console(stderr=True, quiet=as_json).status("reading ...") as status:
            summary = written(request, lambda line: status.update(f"{line} ..."))
    except KeyboardInterrupt:
        click.echo("collegium: merge interrupted; nothing of it is kept, the same command starts anew", err=True)
        raise SystemExit(130) from None
    if as_json:
        click.echo(json.dumps({**asdict(summary), "out": str(summary.out)}, ensure_ascii=False))
    else:
        show(summary)


def plan_only(request: MergeRequest, options: Mapping[str, Any]) -> MergeRequest:
    """mergekit's options are done or explained. With `--plan`, print what would be done, and end here."""
    changes, notes = explain_foreign({key: value for key, value in options.items() if key != "only_plan"})
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if changes:
        try:
            request = MergeRequest(**{**request.model_dump(), **changes})
        except ValidationError as error:
            raise BadInput(f"--out-shard-size: {error.errors()[0]['ctx']['error']}") from error
    if options["only_plan"]:
        context = click.get_current_context()
        _plan(request, as_json=context.params["as_json"])
        context.exit()
    return request


def _plan(request: MergeRequest, as_json: bool) -> None:
    from merging.device import chosen
    from merging.nested import planned
    from merging.result_config import result_config

    if request.extract_lora or request.tokens_from:
        raise BadInput("--plan: there is nothing to plan with --extract-lora or --tokens-from")
    try:
        recipe = recipe_of(request)
        device = chosen(request.device)
        plan = planned(recipe, allow_nan=request.allow_nan, allow_bin=request.allow_bin, device=device)
        config = result_config(plan)
    except ValueError as error:
        raise BadInput(str(error)) from error
    found: dict[str, Any] = {
        "method": recipe.method,
        "models": [str(ref) for ref in plan.models],
        "tensors": {name: [target.dtype, list(target.shape)] for name, target in plan.targets.items()},
        "config": config,
        "left_out": [asdict(left) for left in plan.left_out],
        "notes": plan.notes,
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    size = sum(target.size for target in plan.targets.values())
    click.echo(f"{recipe.method} of {', '.join(found['models'])}: {len(plan.targets)} tensors, {size:,} numbers")
    for left in plan.left_out:
        click.echo(f"not in the result: {left}")
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)


PLAN = click.Option(
    ["--plan", "only_plan"], is_flag=True, help="Check everything and say what would be done; read no weights."
)
command = positional(
    request_command("merge", MergeRequest, run, PLAN, *foreign_options()),
    "recipe",
    "out",
    metavars={"recipe": "CONFIG"},
)
