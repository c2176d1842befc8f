"""A configuration's file: experts are added to its text, so that everything that a person wrote there stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config import read_yaml, validate
from orchestrator.errors import BadInput, ConfigError
from orchestrator.experts.zoo import resolve
from orchestrator.inference.expert import Expert


def add_entry(path: Path, name: str, entry: dict[str, Any]) -> Expert:
    """Add an expert to the configuration at `path`, which is made if need be; the expert, checked. Comments stay.
    Raises `BadInput` where there is one of that name, `ConfigError` for a layout that cannot be added to."""
    data = read_yaml(path) if path.exists() else {}
    if name in data.get("experts", {}):
        raise BadInput(f"{path}: experts.{name}: there is one already")
    wanted = {**data, "experts": {**data.get("experts", {}), name: entry}}
    expert = resolve(validate({"experts": {name: entry}}, path))[name]
    validate(wanted, path)
    text = _with_expert(path.read_text("utf-8") if path.exists() else "", name, entry)
    if yaml.safe_load(text) != wanted:
        raise ConfigError(f"{path}: cannot add to this layout; write it by hand: experts.{name}: {json.dumps(entry)}")
    path.write_text(text, "utf-8")
    return expert


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
