"""`collegium experts`: list, add, check, train."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table

from orchestrator.cli.options import DEFAULT_CONFIG, configuration, configured, positional
from orchestrator.cli.pipeline import Finished, pipeline_command, several
from orchestrator.config import Config, read_yaml, validate
from orchestrator.errors import BadInput, ConfigError, ExpertError
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.discovery import chosen_model, models
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.pipelines.check import CheckedExpert, CheckRequest, CheckResult
from orchestrator.pipelines.train import TrainedExpert, TrainRequest
from orchestrator.providers import defaults


@click.group("experts")
def command() -> None:
    """List, add, check and train experts."""


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
    Console().print(table)


@command.command("add")
@click.argument("name")
@click.option("--model", help="Checkpoint folder, demo/NAME, or the model's name at --url.")
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
    data = read_yaml(path) if path.exists() else {}
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
            entry[key] = str(Path(entry[key]).expanduser().absolute())
    if name in data.get("experts", {}):
        raise BadInput(f"{path}: experts.{name}: there is one already")
    wanted = {**data, "experts": {**data.get("experts", {}), name: entry}}
    expert = resolve(validate({"experts": {name: entry}}, path))[name]
    validate(wanted, path)
    text = _with_expert(path.read_text("utf-8") if path.exists() else "", name, entry)
    if yaml.safe_load(text) != wanted:
        raise ConfigError(f"{path}: cannot add to this layout; write it by hand: experts.{name}: {json.dumps(entry)}")
    path.write_text(text, "utf-8")
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
    }


def _with_expert(text: str, name: str, entry: dict[str, Any]) -> str:
    """The YAML text with one more expert, everything else untouched."""
    body = yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True)
    match = re.search(r"^experts:[ \t]*(?:\{\})?[ \t]*(?:#.*)?$", text, re.MULTILINE)
    if match is None:
        return f"{text.rstrip()}\n\nexperts:\n{_indented(body, '  ')}".lstrip()
    following = re.search(r"\A(?:[ \t]*(?:#.*)?\n)*([ \t]+)\S", text[match.end() + 1 :])
    head = text[: match.end()].replace("{}", "")
    return f"{head.rstrip(' ')}\n{_indented(body, following[1] if following else '  ')}{text[match.end() + 1 :]}"


def _indented(body: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" for line in body.splitlines())


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
