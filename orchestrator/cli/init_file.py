"""The commented configuration that `collegium init` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config import validate
from orchestrator.errors import ConfigError

HEAD = """\
# Written by `collegium init`. Every key: docs/configuration.md of Collegium.
# Paths are relative to this file. API keys never stand here: `api_key_env` names a variable.
"""
WORKERS = """\
workers:
  count: 1       # engines that run at once; every local expert takes its turn in them
  engine: {engine:<6} # auto: vLLM where it is installed, else transformers
"""
SERVICE = """\
service:
  host: 127.0.0.1
  port: {port}     # of `collegium serve`: its page is at http://127.0.0.1:{port}/
"""
REST = """\
# state: ~/.local/state/collegium   # every reply is kept here, so that none is paid for twice
# runs: runs                        # each command that asks experts leaves its folder here
# budget: {tokens: 1000000}         # what one run may spend
"""
WIDTH = 96


@dataclass(frozen=True)
class TriedExpert:
    """An entry of the file, and what became of it."""

    name: str
    entry: Mapping[str, Any]
    words: str
    """Comment above it: where it is from and what it answered, or why it is left out."""
    works: bool


def written(tried: Sequence[TriedExpert], refused: Mapping[str, str], path: Path, *, engine: str, port: int) -> str:
    """The file's text. Raises `ConfigError` if it would not be read as it is meant."""
    kept = [one for one in tried if one.works]
    parts = [HEAD, "experts:"]
    for one in kept:
        parts.append(_entry(one, path.parent))
    out = [one for one in tried if not one.works]
    if out:
        parts.append("\n  # Left out. Remove the # of an entry once what is wrong with it has been mended.")
        parts += [_commented(_entry(one, path.parent)) for one in out]
    parts.append("")
    parts += _comment(f"Not usable as an expert: {what}: {why}" for what, why in refused.items())
    if any("url" not in one.entry and "provider" not in one.entry for one in kept):
        parts.append(WORKERS.format(engine=engine))
    parts += [SERVICE.format(port=port), REST]
    text = "\n".join(parts)
    _check(text, kept, path)
    return text


def _check(text: str, kept: Sequence[TriedExpert], path: Path) -> None:
    data = yaml.safe_load(text)
    if list(data["experts"]) != [one.name for one in kept]:
        raise ConfigError(f"{path}: the names of the experts cannot be written: {', '.join(one.name for one in kept)}")
    validate(data, path)


def _entry(one: TriedExpert, folder: Path) -> str:
    relative = {key: _relative(value, folder) for key, value in one.entry.items()}
    body = yaml.safe_dump({one.name: relative}, sort_keys=False, allow_unicode=True)
    comment = _comment([one.words], "  ")
    return "\n".join([*comment, *(f"  {line}" for line in body.splitlines())])


def _relative(value: Any, folder: Path) -> Any:
    if isinstance(value, str) and value.startswith("/") and Path(value).is_relative_to(folder):
        return f"./{Path(value).relative_to(folder)}"
    return value


def _commented(entry: str) -> str:
    return "\n".join(line if line.lstrip().startswith("#") else f"  # {line[2:]}" for line in entry.splitlines())


def _comment(texts: Any, indent: str = "") -> list[str]:
    lines = []
    for text in texts:
        clean = "".join(one if one.isprintable() else " " for one in text)
        lines += textwrap.wrap(
            clean,
            WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
