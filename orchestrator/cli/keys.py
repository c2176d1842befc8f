"""`collegium keys`: API keys of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import configuration, configured
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from orchestrator.service.keys import Key


@click.group("keys")
def command() -> None:
    """API keys of the service: make, list, revoke, what each has spent. Only hashes are stored."""


@command.command("create")
@click.argument("name")
@click.option(
    "--scopes", metavar="A,B", help="What it may do: chat, feedback, jobs, metrics, admin; default: all but admin."
)
@click.option("--models", metavar="A,B", help="Model ids that it may use; default: all. Not with the scope jobs.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="Limit; default: none.")
@click.option("--concurrent", type=click.IntRange(1), help="Requests at once; default: any number.")
@click.option("--tokens-per-month", type=click.IntRange(1), help="Tokens of prompts and replies; default: no limit.")
@click.option("--dollars-per-month", type=click.FloatRange(0, min_open=True), help="US dollars; default: no limit.")
@configured
def create(
    config: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    name: str,
    scopes: str | None,
    models: str | None,
    requests_per_minute: int | None,
    concurrent: int | None,
    tokens_per_month: int | None,
    dollars_per_month: float | None,
) -> None:
    """Make a key for NAME, and show it this once."""
    from orchestrator.service.keys import USUAL_SCOPES, new_key
    from orchestrator.service.runtime import open_key_stores

    allowed = None if models is None else _parts(models)
    usual = [scope for scope in USUAL_SCOPES if allowed is None or scope != "jobs"]
    wanted = _parts(scopes) if scopes else usual
    text, key = new_key(
        name, wanted, requests_per_minute, concurrent, tokens_per_month, dollars_per_month, models=allowed
    )
    with open_key_stores(configuration(config, overrides)) as stores:
        stores[-1].add(key)
    if as_json:
        click.echo(json.dumps({"key": text, "id": key.id, "name": name, "scopes": key.scopes, "models": key.models}))
        return
    click.echo(text)
    click.echo(f"key {key.id} for {name} ({', '.join(key.scopes)}): shown this once, kept as a hash", err=True)


@command.command("list")
@configured
def list_keys(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show who has a key."""
    from dataclasses import asdict

    from orchestrator.service.runtime import open_key_stores

    with open_key_stores(configuration(config, overrides)) as stores:
        keys = [key for store in stores for key in store.read().values()]
    rows = [{name: value for name, value in asdict(key).items() if name != "hash"} for key in keys]
    if as_json:
        click.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "scopes", "models", "per minute", "at once", "tokens/month", "$/month", "created")
    for key in keys:
        limits = [str(limit or "-") for limit in _limits(key)]
        table.add_row(key.id, key.name, ", ".join(key.scopes), ", ".join(key.models or ("all",)), *limits, key.created)
    Console().print(table)


@command.command("revoke")
@click.argument("id")
@configured
def revoke(config: str | None, overrides: tuple[str, ...], as_json: bool, id: str) -> None:
    """Make the key ID worthless, within a second for a running service."""
    from orchestrator.service.runtime import open_key_stores

    with open_key_stores(configuration(config, overrides)) as stores:
        key = next((gone for store in stores if (gone := store.remove(id))), None)
    if key is None:
        raise BadInput(f"no key {id!r} in {' or '.join(store.name for store in stores)}")
    click.echo(json.dumps({"revoked": key.id}) if as_json else f"revoked {key.id} of {key.name}")


@command.command("usage")
@configured
def usage(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what each key has spent, by month: calls, tokens, US dollars. Replies from the ledger cost nothing."""
    from pathlib import Path

    from orchestrator.database import Database
    from orchestrator.service.accounts import AccountStore, usage_json
    from orchestrator.service.runtime import open_key_stores

    settings = configuration(config, overrides)
    with open_key_stores(settings) as stores:
        names = {id: key.name for store in stores for id, key in store.read().items()}
    database = Database(settings.database, Path(settings.state).expanduser() / "service.sqlite")
    try:
        rows = usage_json(AccountStore(database).months(), names)
    finally:
        database.close()
    if as_json:
        click.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("month", "key", "name", "calls", "prompt tokens", "reply tokens", "US dollars", "of unknown price")
    for row in rows:
        amounts = (f"{row[name]:,}" for name in ("calls", "prompt_tokens", "completion_tokens"))
        unknown = f"{row['unpriced_calls']:,}"
        table.add_row(row["month"], row["key"], row["name"] or "-", *amounts, f"{row['dollars']:.4f}", unknown)
    Console().print(table)


def _limits(key: Key) -> tuple[float | None, ...]:
    return key.requests_per_minute, key.concurrent, key.tokens_per_month, key.dollars_per_month


def _parts(listed: str) -> list[str]:
    return [part.strip() for part in listed.split(",") if part.strip()]
