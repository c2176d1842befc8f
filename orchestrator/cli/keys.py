"""`collegium keys`: API keys of the service."""

from __future__ import annotations

import json

import click

from orchestrator.cli.options import configuration, configured


@click.group("keys")
def command() -> None:
    """API keys of the service: make, list, revoke. Only hashes are stored."""


@command.command("create")
@click.argument("name")
@click.option("--scopes", metavar="A,B", help="What it may do: chat, feedback, jobs; default: everything.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="Limit; default: none.")
@click.option("--concurrent", type=click.IntRange(1), help="Requests at once; default: any number.")
@configured
def create(
    config: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    name: str,
    scopes: str | None,
    requests_per_minute: int | None,
    concurrent: int | None,
) -> None:
    """Make a key for NAME, and show it this once."""
    from orchestrator.service.keys import SCOPES
    from orchestrator.service.runtime import key_file

    file = key_file(configuration(config, overrides))
    wanted = [part.strip() for part in scopes.split(",") if part.strip()] if scopes else SCOPES
    text, key = file.create(name, wanted, requests_per_minute, concurrent)
    if as_json:
        click.echo(json.dumps({"key": text, "id": key.id, "name": name, "scopes": key.scopes}))
        return
    click.echo(text)
    click.echo(f"key {key.id} for {name} ({', '.join(key.scopes)}): shown this once, kept as a hash", err=True)


@command.command("list")
@configured
def list_keys(config: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show who has a key."""
    from dataclasses import asdict

    from orchestrator.service.runtime import key_file

    keys = key_file(configuration(config, overrides)).read().values()
    rows = [{name: value for name, value in asdict(key).items() if name != "hash"} for key in keys]
    if as_json:
        click.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "scopes", "a minute", "at once", "created")
    for key in keys:
        limits = [str(limit or "-") for limit in (key.requests_per_minute, key.concurrent)]
        table.add_row(key.id, key.name, ", ".join(key.scopes), *limits, key.created)
    Console().print(table)


@command.command("revoke")
@click.argument("id")
@configured
def revoke(config: str | None, overrides: tuple[str, ...], as_json: bool, id: str) -> None:
    """Make the key ID worthless, within a second for a running service."""
    from orchestrator.service.runtime import key_file

    key = key_file(configuration(config, overrides)).revoke(id)
    click.echo(json.dumps({"revoked": key.id}) if as_json else f"revoked {key.id} of {key.name}")
