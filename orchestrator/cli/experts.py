"""`collegium experts`: list, add, check, train; `grow` has a file of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from orchestrator.cli.config_file import add_entry
from orchestrator.cli.grow import command as grow_command
from orchestrator.cli.options import DEFAULT_CONFIG, configuration, configured, positional
from orchestrator.cli.pipeline import Finished, pipeline_command, several
from orchestrator.config import Config
from orchestrator.errors import BadInput, ExpertError
from orchestrator.experts.hub import is_hub_id
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.discovery import chosen_model, models
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.schedule.groups import numbered_group
from orchestrator.inference.schedule.placement import engine_name
from orchestrator.pipelines.check import CheckedExpert, CheckRequest, CheckResult
from orchestrator.pipelines.train import TrainedExpert, TrainRequest
from orchestrator.providers import defaults


@click.group("experts")
def command() -> None:
    """List, add, check, train and grow experts."""


@command.command("list")
@configured
def list_experts(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """The zoo: every expert, checked, with its kind, shape, size and fingerprint."""
    settings = configuration(config, overrides)
    experts = resolve(settings)
    rows = [_row(expert, settings) for expert in experts.values()]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("expert", "kind", "shape", "MB", "context", "fingerprint", "skills"):
        table.add_column(column, justify="right" if column in ("MB", "context") else "left")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("expert", "kind", "shape", "MB", "context", "fingerprint", "skills")))
    console = Console()
    console.print(table)
    for row in rows:
        if why := row["compared"]:
            console.print(f"{row['expert']}: {why}", soft_wrap=True, markup=False)


@command.command("add")
@click.argument("name")
@click.option("--model", help="Checkpoint folder, hub id (OWNER/NAME), demo/NAME, or the model's name at --url.")
@click.option("--adapter", help="LoRA adapter folder over the model.")
@click.option("--provider", help="Known provider in place of --url: openai, anthropic, gemini, ...; with --model.")
@click.option("--url", help="Base URL of an OpenAI-compatible server, ending in /v1.")
@click.option("--api-key-env", help="Environment variable that holds the URL's key.")
@click.option("--discover", is_flag=True, help="Ask --url which models it has, and check --model against them.")
@click.option("--chat-template", help="File with a Jinja template to use instead of the model's own.")
@click.option("--context", type=int, help="Longest prompt plus reply, in tokens.")
@click.option("--config", default=str(DEFAULT_CONFIG), show_default=True, help="Configuration to add it to.")
def add_expert(name: str, config: str, discover: bool, **keys: Any) -> None:
    """Add your own model to a configuration, after checking it. Comments in the file stay."""
    path = Path(config).expanduser().absolute()
    entry = {key: value for key, value in keys.items() if value is not None}
    if "provider" in entry and discover:
        try:
            entry = {**defaults(entry["provider"]), **entry}
        except ValueError as error:
            raise BadInput(str(error)) from error
    if discover:
        if "url" not in entry:
            raise BadInput("--discover needs a --url")
        remote = RemoteModel(entry["url"], entry.get("model", ""), entry.get("api_key_env"))
        entry["model"] = chosen_model(remote, entry.get("model"), models(remote))
    for key in ("adapter", "chat_template", *(() if "url" in entry or "provider" in entry else ("model",))):
        if key in entry and not entry[key].startswith("demo/"):
            absolute = Path(entry[key]).expanduser().absolute()
            if key == "chat_template" or not is_hub_id(entry[key]) or absolute.exists():
                entry[key] = str(absolute)
    expert = add_entry(path, name, entry)
    Console().print(f"Added {name} ({_kind(expert)}) to {path}. Next: collegium experts check {name}", soft_wrap=True)


def _show_checked(console: Console, finished: Finished[CheckRequest, CheckResult]) -> None:
    for one in finished.result.experts:
        console.print(_format_checked(one), soft_wrap=True, markup=False)


def _checked_document(finished: Finished[CheckRequest, CheckResult]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(one) for one in finished.result.experts]


def _fail(found: CheckResult) -> None:
    if found.failed:
        raise ExpertError(f"{found.failed} of {len(found.experts)} experts failed the check")


command.add_command(several(pipeline_command("check", _show_checked, _checked_document, after=_fail), "experts"))


def _show_trained(console: Console, finished: Finished[TrainRequest, TrainedExpert]) -> None:
    found = finished.result
    line = f"{found.folder}: {found.steps} steps, {found.tokens:,} tokens in {found.seconds:.0f} s"
    console.print(line, soft_wrap=True, markup=False)


def _trained_document(finished: Finished[TrainRequest, TrainedExpert]) -> dict[str, Any]:
    return {**dataclasses.asdict(finished.result), "folder": str(finished.result.folder)}


def _beside(request: TrainRequest, options: Mapping[str, Any]) -> TrainRequest:
    """On the command line the adapter's folder is made in the current one."""
    return request.model_copy(update={"out": request.out or request.name})


command.add_command(positional(pipeline_command("train", _show_trained, _trained_document, adapt=_beside), "name"))


command.add_command(grow_command)


def _kind(expert: Expert) -> str:
    if expert.remote:
        return "remote"
    if expert.recipe:
        return "recipe"
    if expert.script:
        return "script"
    return "adapter" if expert.weights and expert.weights.adapter else "checkpoint"


def _row(expert: Expert, config: Config) -> dict[str, Any]:
    return {
        "expert": expert.name,
        "kind": _kind(expert),
        "shape": expert.shape[:8],
        "MB": round(expert.file_bytes / 1e6, 1),
        "context": expert.context,
        "fingerprint": expert.fingerprint[:12],
        "skills": ", ".join(config.experts[expert.name].skills),
        "compared": _compared(expert, config),
    }


def _compared(expert: Expert, config: Config) -> str:
    """What is wrong with, or not known of, vLLM's answers for the expert's type of model; empty: nothing."""
    from orchestrator.inference.engines.compared_types import doubt

    local = expert.weights or expert.recipe
    if not local or engine_name(numbered_group(expert.name, config.workers)[1]) != "vllm":
        return ""
    return doubt(expert, json.loads((expert.folder / "config.json").read_bytes()))


def _format_checked(one: CheckedExpert) -> str:
    if one.problem:
        return f"✗ {one.expert}: {one.problem}"
    if one.way == "remote":
        cost = "price not known" if one.cost is None else f"cost ${one.cost:.6f}"
        return f"✓ {one.expert}: answered in {one.seconds} s, {cost}, says “{one.says}”"
    return (
        f"✓ {one.expert}: loaded ({one.way}) in {one.load_seconds} s, {one.tokens_per_second} tokens/s, "
        f"transformers: {one.reference}, says “{one.says}”"
    )
