"""`collegium experts`: list, add, check, train."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table

from orchestrator.cli.options import DEFAULT_CONFIG, configuration, configured
from orchestrator.config import Config, demo_zoo, read_yaml, validate
from orchestrator.errors import BadInput, CollegiumError, ConfigError, ExpertError
from orchestrator.evaluation.profile import chosen
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.canary import OTHER_ENGINE, difference
from orchestrator.inference.engines.discovery import chosen_model, models
from orchestrator.inference.engines.engine import Engine, HasCanary
from orchestrator.inference.engines.reference import NoReference, references
from orchestrator.inference.engines.remote import RemoteEngine
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.prices import price
from orchestrator.inference.request import Completion, Delta, Request, Sampling, request_key
from orchestrator.inference.schedule.placement import check_engine, engine_name, local_engine, options
from orchestrator.providers import defaults

CANARY_TOKENS = 8
"""Greedy tokens that are compared with transformers."""
REMOTE_TOKENS = 256
"""Longest reply of a remote expert's check: models that reason need some."""


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


@command.command("check")
@click.argument("names", nargs=-1)
@click.option("--reference/--no-reference", default=True, help="Compare with transformers, token by token.")
@configured
def check_experts(
    names: tuple[str, ...], reference: bool, config: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Load experts and let them speak: files, chat template, canary against transformers, speed. Remote ones are asked
    one short question, which their servers charge for."""
    settings = configuration(config, overrides)
    wanted = chosen(resolve(settings), names)
    remote_rows = [_checked_remote(expert) for expert in wanted if expert.remote]
    experts = [expert for expert in wanted if not expert.remote]
    console, rows, failed = Console(), [], 0
    if experts:
        check_engine(engine_name(settings.workers))
        engine = local_engine(
            engine_name(settings.workers), dataclasses.replace(options(settings.workers), canary_tokens=CANARY_TOKENS)
        )
        try:
            for expert in experts:
                rows.append(_checked(engine, expert))
        finally:
            engine.close()
        if reference:
            _against_transformers(experts, rows)
    rows += remote_rows
    for row in rows:
        row.pop("canary", None)
        failed += row["problem"] is not None
        if not as_json:
            console.print(_format_row(row), soft_wrap=True, highlight=False)
    if as_json:
        click.echo(json.dumps(rows))
    if failed:
        raise ExpertError(f"{failed} of {len(wanted)} experts failed the check")


@command.command("train")
@click.argument("name")
@click.option("--spec", type=click.Path(path_type=Path), help="Training specification; default: the demo zoo's.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the adapter; default: ./NAME.")
def train_expert(name: str, spec: Path | None, out: Path | None) -> None:
    """Train a LoRA expert on generated tasks, as the demo zoo's were. Takes some minutes on two cores."""
    from rich.progress import Progress as Bar

    from distill.train import StepMetrics
    from orchestrator.pipelines.adapter_training import SPECIFICATION, AdapterSpec, train

    path = spec or demo_zoo().parent / name / SPECIFICATION
    if not path.exists():
        raise BadInput(f"no specification {path}; the demo zoo has {', '.join(_trained())}")
    target = (out or Path(name)).absolute()
    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"training {name}")

        def report(metrics: StepMetrics) -> None:
            speed = metrics.tokens / max(metrics.seconds, 1e-9)
            text = f"{name}: loss {metrics.next_token:.3f}, {speed:,.0f} tokens/s"
            bar.update(task, completed=metrics.step, total=metrics.steps, description=text)

        last = train(AdapterSpec.read(path), target, report)
    Console().print(f"{target}: {last.steps} steps, {last.tokens:,} tokens in {last.seconds:.0f} s", soft_wrap=True)


def _trained() -> list[str]:
    return sorted(folder.parent.name for folder in demo_zoo().parent.glob("*/training.json"))


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


def _checked(engine: Engine, expert: Expert) -> dict[str, Any]:
    """Load one expert, take its canary, measure its speed."""
    row: dict[str, Any] = {"expert": expert.name, "problem": None, "reference": "not asked for"}
    try:
        load = engine.load(expert)
        row |= {"way": load.way, "load_seconds": round(load.seconds, 3)}
        if isinstance(engine, HasCanary):
            row["canary"] = engine.canary()
        row["tokens_per_second"], row["says"] = _speed(engine, expert)
    except CollegiumError as error:
        row["problem"] = str(error)
    return row


def _checked_remote(expert: Expert) -> dict[str, Any]:
    """Ask a remote expert one short question: whether its key, address and model are right, and what it cost."""
    row: dict[str, Any] = {"expert": expert.name, "problem": None, "reference": "none: it is remote"}
    engine = RemoteEngine()
    try:
        load = engine.load(expert)
        messages, sampling = (("user", "What is the capital of France? One word."),), Sampling(max_tokens=REMOTE_TOKENS)
        started, deltas = time.perf_counter(), list[Delta]()
        engine.add(
            Request(request_key(expert.fingerprint, messages, sampling), expert.name, messages, sampling), expert
        )
        while not (deltas and deltas[-1].last):
            deltas += engine.step()
        if error := deltas[-1].error:
            raise error
        seconds, tokens = time.perf_counter() - started, sum(delta.tokens for delta in deltas)
        text = " ".join("".join(delta.text for delta in deltas).split())[:60]
        prompt = max(delta.prompt_tokens for delta in deltas)
        reply = Completion("", text, "stop", prompt, tokens, seconds=seconds, usage=deltas[-1].usage)
        row |= {
            "way": "remote",
            "load_seconds": round(load.seconds, 3),
            "tokens_per_second": round(tokens / seconds, 1),
        }
        row |= {"says": text, "seconds": round(seconds, 3), "cost": price(expert, reply)}
    except CollegiumError as error:
        row["problem"] = str(error)
    finally:
        engine.close()
    return row


def _against_transformers(experts: Sequence[Expert], rows: Sequence[dict[str, Any]]) -> None:
    """Compare what was loaded with transformers, which computes in a process of its own. A comparison that cannot be
    made is a problem too: only `--no-reference` leaves it out."""
    loaded = [(expert, row) for expert, row in zip(experts, rows, strict=True) if row["problem"] is None]
    compared = [(expert, row) for expert, row in loaded if row.get("canary")]
    for _, row in loaded:
        if not row.get("canary"):
            row["reference"], row["problem"] = "impossible", "its engine has no canary to compare; use --no-reference"
    found = references([expert for expert, _ in compared], CANARY_TOKENS) if compared else []
    for (_, row), canary in zip(compared, found, strict=True):
        if isinstance(canary, NoReference):
            row["reference"] = "impossible"
            row["problem"] = f"transformers cannot compute it, so nothing was compared ({canary}); use --no-reference"
        elif why := difference(canary, row["canary"], OTHER_ENGINE):
            row["reference"], row["problem"] = "differs", f"not what transformers computes: {why}"
        else:
            row["reference"] = "equal"


def _speed(engine: Engine, expert: Expert) -> tuple[float, str]:
    """Tokens a second over a small batch, and the beginning of what it says."""
    sampling = Sampling(max_tokens=48)
    for number in range(16):
        messages = (("user", f"Name {number + 3} animals and say a word about each."),)
        engine.add(
            Request(request_key(expert.fingerprint, messages, sampling), expert.name, messages, sampling), expert
        )
    started, tokens, last, text = time.perf_counter(), 0, 0, ""
    first: str | None = None
    while last < 16:
        for delta in engine.step():
            if delta.error:
                raise ExpertError(f"expert {expert.name!r}: {delta.error}")
            first = first or delta.key
            text += delta.text if delta.key == first else ""
            tokens += delta.tokens
            last += delta.last
    return round(tokens / (time.perf_counter() - started), 1), " ".join(text.split())[:60]


def _format_row(row: dict[str, Any]) -> str:
    if row["problem"]:
        return f"✗ {row['expert']}: {row['problem']}"
    if row["way"] == "remote":
        cost = "price not known" if row["cost"] is None else f"cost ${row['cost']:.6f}"
        return f"✓ {row['expert']}: answered in {row['seconds']} s, {cost}, says “{row['says']}”"
    return (
        f"✓ {row['expert']}: loaded ({row['way']}) in {row['load_seconds']} s, "
        f"{row['tokens_per_second']} tokens/s, transformers: {row['reference']}, says “{row['says']}”"
    )
