"""The run folders that are there: one opened again, or all of them listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.pipelines.registry import PIPELINES, named

LONGEST = 64 * 2**20
"""Bytes of a config.json that is read."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What is known of a run folder without opening its results."""

    path: Path
    pipeline: str
    changed: float
    """When its configuration was written, in seconds since 1970."""
    finished: bool
    request: dict[str, Any]


def open_run(folder: str | Path) -> Any:
    """The result that lies in a run folder, as its pipeline returned it: a `RunResult`, a `Profile`, ... What only the
    ledger holds, such as every expert's reply, is not read.

    Raises `BadInput` for a folder that is no run's, or whose run has not ended; `StorageError` for one that this
    version cannot read.
    """
    found = run_entry(Path(folder).expanduser())
    if found is None:
        raise BadInput(f"{folder}: not the folder of a run: it has no config.json that names a pipeline")
    if not found.finished:
        raise BadInput(f"{folder}: this run has not ended; the same call goes on with it")
    return named(found.pipeline)[0].stored.load(found.path)


def run_entry(folder: Path) -> RunEntry | None:
    """What a folder says of itself; None if it is no run's."""
    file = folder / "config.json"
    try:
        if not file.is_file() or file.stat().st_size > LONGEST:
            return None
        body = json.loads(file.read_bytes())
        # Folders of version 0.1 say it in their name only.
        name = body.get("pipeline") or folder.name.rpartition("-")[0]
        changed = file.stat().st_mtime
        request = body["request"]
    except (OSError, ValueError, KeyError, AttributeError, RecursionError):
        return None
    if name not in PIPELINES or not isinstance(request, dict):
        return None
    return RunEntry(folder, name, changed, (folder / "finished").exists(), request)


def runs_in(folder: str | Path) -> Iterator[RunEntry]:
    """The runs below a folder (`runs` of the configuration), the newest first."""
    root = Path(folder).expanduser()
    found = [run_entry(inner) for inner in (root.iterdir() if root.is_dir() else ()) if inner.is_dir()]
    yield from sorted((entry for entry in found if entry), key=lambda entry: entry.changed, reverse=True)
