"""What travels with a command that is submitted as a job: the files and modules it names, and where its state is.

A job runs in a folder that Ray makes anew from what was sent. So a relative `state:` would be a new ledger each time,
and a module that stays here could not be imported there.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config import read_yaml
from orchestrator.errors import BadInput, ConfigError
from orchestrator.extensions import is_code

MAX_STAGED = 64 * 2**20
STATES = "~/.local/state/collegium/states"
"""Where the Ray cluster keeps the state of configurations whose `state:` is a relative path."""
DEFAULT_CONFIG = "collegium.yaml"
INSTALLED = frozenset(("orchestrator", "agents", "router", "merging", "distill", "reasoning"))
"""Packages that the cluster has: a copy would lack their data."""


def files_named(words: Sequence[str]) -> list[Path]:
    """Files of the working directory that the command and its configuration name, relative: they travel with it.
    Raises `BadInput` where they are too large."""
    named = [Path(part) for word in words for part in (word, word.partition("=")[2]) if part]
    config = configuration_of(words)
    texts = [*words, *(word.partition("=")[2] for word in words)]
    if config is not None:
        named.append(config)
        data = _read(config)
        named += [config.parent / path for path in _paths(data)]
        texts += list(_strings(data))
        if isinstance(zoo := data.get("zoo"), str) and (config.parent / zoo).is_file():
            inner = _read(config.parent / zoo)
            named += [config.parent / zoo, *((config.parent / zoo).parent / path for path in _paths(inner))]
            texts += list(_strings(inner))
    named += modules_named(texts)
    found = [path for path in named if not path.is_absolute() and ".." not in path.parts and path.is_file()]
    found = list(dict.fromkeys(Path(*path.parts) for path in found))
    if sum(path.stat().st_size for path in found) > MAX_STAGED:
        raise BadInput(f"the files that the command names have more than {MAX_STAGED} bytes: put them on the cluster")
    return found


def configuration_of(words: Sequence[str]) -> Path | None:
    """The configuration that the command reads, if it is a file of this machine."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--config":
            return Path(following) if Path(following).is_file() else None
        if word.startswith("--config="):
            path = Path(word.partition("=")[2])
            return path if path.is_file() else None
    return Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).is_file() else None


def modules_named(texts: Iterable[str]) -> list[Path]:
    """Python files of the working directory that `module:attribute` names, and those of it that these import."""
    waiting = [text.partition(":")[0].partition(".")[0] for text in texts if is_code(text)]
    found: dict[Path, None] = {}
    while waiting:
        if (top := waiting.pop()) in INSTALLED:
            continue
        files = [Path(f"{top}.py")] if Path(f"{top}.py").is_file() else sorted(Path(top).rglob("*.py"))
        for file in files:
            if file not in found:
                found[file] = None
                waiting += _imported(file)
    return list(found)


def state_there(words: Sequence[str]) -> str | None:
    """The folder of the ledger on the cluster, the same for every submission from here; None: the configuration's own
    place will do, since it is absolute or in the home."""
    given = [word.partition("=")[2] for word in words if re.fullmatch(r"(?:--set=)?state=.*", word)]
    config = configuration_of(words)
    named = given[-1] if given else _read(config).get("state") if config is not None else None
    if not isinstance(named, str) or named.startswith(("/", "~")):
        return None
    here = Path.cwd()
    mark = hashlib.sha256(str(here).encode()).hexdigest()[:8]
    plain = "-".join(part for part in Path(named).parts if part not in (".", ".."))
    return f"{STATES}/{here.name or 'root'}-{mark}/{plain or 'state'}"


def paths_here(
    display: Callable[[str], None], name: str, runs: Path
) -> tuple[Callable[[str], None], Callable[[], None]]:
    """(what a job's log is passed to, what its end is): paths of the submission's run folders there become those here.
    Whole lines are passed on, since a path may arrive in two parts."""
    held = ""
    there = re.compile(rf"(?:/[^\s/]+)+/submitted/{re.escape(name)}/")

    def more(text: str) -> None:
        nonlocal held
        whole, newline, held = (held + text).rpartition("\n")
        if newline:
            display(there.sub(f"{runs}/", whole + newline))

    def end() -> None:
        nonlocal held
        if held:
            display(there.sub(f"{runs}/", held))
        held = ""

    return more, end


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return read_yaml(path)
    except ConfigError:
        return {}  # the job says what is wrong with it


def _paths(data: Mapping[str, Any]) -> Iterator[str]:
    """Small files that a configuration names beside its experts' weights."""
    experts = data.get("experts")
    for expert in experts.values() if isinstance(experts, dict) else ():
        if isinstance(expert, dict) and isinstance(template := expert.get("chat_template"), str):
            yield template


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _imported(file: Path) -> list[str]:
    """Top-level names that a Python file imports."""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, ValueError, OSError, RecursionError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module.partition(".")[0])
    return found
