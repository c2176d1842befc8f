"""mergekit's command-line options: what each one does here, or why it is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

FOREIGN: Mapping[str, str] = {
    "allow-crimes": "tensors are matched by name; what does not fit is refused",
    "copy-tokenizer": "the tokenizer always comes along",
    "lazy-unpickle": "files are memory-mapped, never loaded whole",
    "low-cpu-memory": "a merge holds some 150 MB, whatever the models' size",
    "clone-tensors": "every tensor is written once for itself",
    "trust-remote-code": "no code of a model is run: its *.py files come along as they are",
    "read-to-gpu": "blocks go to the device as they are needed",
    "multi-gpu": "one device is used",
    "write-model-card": "the card is always written",
    "safe-serialization": "the result is always safetensors",
    "async-write": "threads write side by side",
    "quiet": "progress is shown on a terminal only",
    "unsafe-truncate-embeddings": "use `tokenizer_source: base` or `union`, which moves each token's row with it",
}
"""Flags without effect, and why."""
_VALUED = {
    "transformers-cache": "set HF_HUB_CACHE",
    "lora-merge-cache": "adapters are added on the fly",
    "lora-merge-dtype": "adapters are added in float32",
    "write-threads": "--threads sets all threads",
}


def foreign_options() -> list[click.Option]:
    """mergekit's options, hidden from the help."""
    flags = [f"--{name}/--no-{name}" for name in (*FOREIGN, "cuda")]
    return [
        *(click.Option([flag], default=None, hidden=True) for flag in flags),
        *(click.Option([f"--{name}"], hidden=True) for name in (*_VALUED, "out-shard-size")),
        click.Option(["--gpu-rich"], is_flag=True, default=None, hidden=True),
        click.Option(["--random-seed"], type=click.IntRange(0), hidden=True),
        click.Option(["--num-threads", "-j"], type=click.IntRange(1), hidden=True),
        click.Option(["-v", "verbosity"], count=True, default=None, hidden=True),
    ]


def explain_foreign(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(our options that mergekit's stand for, notes about those that change nothing)."""
    changes: dict[str, Any] = {}
    notes = []
    for key, value in given.items():
        name = key.replace("_", "-")
        if value is None or (key == "verbosity" and not value):
            continue
        if name in ("cuda", "gpu-rich"):
            if value:
                changes["device"] = "cuda"
        elif name == "out-shard-size":
            changes["shard_size"] = value
        elif name == "random-seed":
            changes["seed"] = value
        elif name == "num-threads":
            changes["threads"] = value
        elif name == "verbosity":
            notes.append("-v is not needed here: --plan says what would be done")
        elif name == "write-model-card" and value is False:
            notes.append("--no-write-model-card has no effect here: the card is always written")
        else:
            why = {**FOREIGN, **_VALUED}[name]
            notes.append(f"--{'no-' if value is False else ''}{name} is not needed here: {why}")
    return changes, notes
