"""`collegium chat`: a conversation in the terminal, or one answer in a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.chat_session import ChatSession
from orchestrator.cli.chat_sources import ChatSource, LocalSource, ServiceSource
from orchestrator.cli.options import configuration
from orchestrator.config import Config
from orchestrator.errors import BadInput

MAX_INPUT = 10**6
"""Characters that are read from a pipe."""
KEY_VARIABLE = "COLLEGIUM_API_KEY"


@click.command("chat")
@click.argument("question", nargs=-1)
@click.option("--model", "-m", metavar="NAME", help="Expert, mixture or another method; default: mixture, if profiled.")
@click.option("--attach", metavar="URL", help="Talk to a service: http://HOST:8000. Default: the zoo, in this process.")
@click.option(
    "--api-key-env", default=KEY_VARIABLE, show_default=True, metavar="NAME", help="Variable with the service's key."
)
@click.option("--system", metavar="TEXT", help="System message.")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, tokens; default: 512 for a local expert.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0: the likeliest answer, and the default here.")
@click.option("--why", is_flag=True, help="Unfold after each answer who was asked and why.")
@click.option("--config", metavar="FILE", help="Configuration; default: ./collegium.yaml, else the demo zoo.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key: workers.count=2.")
def command(
    question: tuple[str, ...],
    model: str | None,
    attach: str | None,
    api_key_env: str,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    why: bool,
    config: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Talk to the zoo. With QUESTION, or with text in a pipe, one answer is printed and nothing else.

    In the conversation Enter sends, Alt+Enter is a new line, /help lists the commands.
    """
    if attach and (config or overrides):
        raise BadInput("--attach: a service has its own configuration: leave out --config and --set")
    once = " ".join(question).strip() or _piped()
    settings: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
    given = {name: value for name, value in settings.items() if value is not None}
    with _source(attach, api_key_env, config, overrides, given) as (source, state):
        history = state / "chat_history"
        session = ChatSession(source, model, system=system, why=why, max_tokens=max_tokens, history=history)
        if once:
            session.answer_once(once)
        else:
            session.converse()


@contextlib.contextmanager
def _source(
    attach: str | None, key_variable: str, config: str | None, overrides: tuple[str, ...], given: dict[str, Any]
) -> Iterator[tuple[ChatSource, Path]]:
    """Who answers, and the folder of what outlives the conversation."""
    if attach:
        service = ServiceSource(attach, os.environ.get(key_variable), given)
        try:
            yield service, Path(str(Config.model_fields["state"].default)).expanduser()
        finally:
            service.close()
        return
    from orchestrator.collegium import Collegium

    with Collegium(configuration(config, overrides)) as collegium:
        yield LocalSource(collegium, given), collegium.state


def _piped() -> str:
    """What stands in the pipe; empty at a terminal. Raises `BadInput` for a pipe that brings no question."""
    if sys.stdin.isatty():
        return ""
    text = sys.stdin.read(MAX_INPUT + 1)
    if len(text) > MAX_INPUT:
        raise BadInput(f"the question has more than {MAX_INPUT:,} characters")
    if not text.strip():
        raise BadInput("no question: give one (collegium chat 'What is gravity?'), pipe one in, or use a terminal")
    return text.strip()
