"""The README.md of a merged model: recipe, sources with their hashes and licences, notes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from merging.checkpoint import Checkpoint
from merging.plan import Merge
from merging.recipe import ModelRef

SAMPLES, SAMPLE_BYTES = 64, 1 << 16
MAX_CARD_BYTES = 2**20


def model_card(plan: Merge, name: str, notes: list[str]) -> str:
    """Markdown with the front matter that model hubs read."""
    method = plan.recipe.rule
    licences = {ref: licence(model.folder) for ref, model in plan.models.items()}
    known = sorted({found for found in licences.values() if found})
    front: dict[str, Any] = {
        "base_model": [str(ref) for ref in plan.models],
        "library_name": "transformers",
        "tags": ["merge", "collegium"],
    }
    if known:
        front["license"] = known[0] if len(known) == 1 and all(licences.values()) else "other"
    rows = [f"| {_cell(str(ref))} | {licences[ref] or 'not stated'} | {_hash(plan, ref)} |" for ref in plan.models]
    text = plan.recipe.text or yaml.safe_dump(raw_of(plan), sort_keys=False)
    lines = [
        *("---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(), "---", "", f"# {name}", ""),
        f"Merged with Collegium by `{method.name}` ({method.paper}).",
        "",
        "| source | licence | SHA-256 of a sample |",
        "| --- | --- | --- |",
        *rows,
        "",
        f"The hashes are of each file's header, size and {SAMPLES} evenly spaced blocks of {SAMPLE_BYTES // 1024} KiB.",
        *("Sources of several licences: all of them apply.",) * (len(known) > 1),
        *("", "## Recipe", "", "```yaml", text.strip(), "```"),
        *(("", "## Notes", "", *(f"- {note}" for note in notes)) if notes else ()),
        *(("", "## Not in the result", "", *_left_out(plan)) if plan.left_out else ()),
    ]
    return "\n".join(lines) + "\n"


def raw_of(plan: Merge) -> dict[str, Any]:
    """The recipe in short, where it did not come from a file."""
    recipe = plan.recipe
    return {
        "merge_method": recipe.method,
        "base_model": str(recipe.base) if recipe.base else None,
        "slices": [
            [
                {"model": str(source.model), "layers": source.layers, "parameters": _short(source.parameters)}
                for source in part.sources
            ]
            for part in recipe.slices
        ],
        "parameters": _short(recipe.parameters),
        "seed": recipe.seed,
    }


def _short(settings: Any) -> dict[str, Any]:
    return {
        name: [{"filter": choice.filter, "value": list(choice.values)} for choice in setting]
        for name, setting in settings.items()
    }


def _left_out(plan: Merge) -> list[str]:
    """Every tensor of a source that is not in the result, with the reason."""
    lines = []
    for left in plan.left_out:
        lines.append(f"- {left.model}: {left.reason} ({len(left.names)} tensors)")
        lines += [f"  - `{name}`" for name in left.names]
    return lines


def sample_hash(checkpoint: Checkpoint) -> str:
    """SHA-256 over each file's name, size and evenly spaced blocks, its header among them.

    Reading all of every source would take as long as the merge. Two files that differ only between the samples have
    the same hash: it identifies a model, it does not seal it.
    """
    digest = hashlib.sha256()
    for file in checkpoint.files:
        size = file.stat().st_size
        digest.update(json.dumps([file.name, size]).encode())
        with file.open("rb") as stream:
            for number in range(SAMPLES):
                stream.seek(number * max(0, size - SAMPLE_BYTES) // max(1, SAMPLES - 1))
                digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def licence(folder: Path) -> str | None:
    """The licence that a model's own card states, if it has a card."""
    card = folder / "README.md"
    if not card.is_file() or card.stat().st_size > MAX_CARD_BYTES:
        return None
    parts = card.read_text("utf-8", errors="replace").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        front = yaml.safe_load(parts[1])
    except (yaml.YAMLError, RecursionError):
        return None
    found = front.get("license") if isinstance(front, dict) else None
    return _cell(found)[:80] if isinstance(found, str) else None


def _hash(plan: Merge, ref: ModelRef) -> str:
    model = plan.models[ref]
    if model.checkpoint is None:
        return "made by another recipe of the same file"
    whole = sample_hash(model.checkpoint)
    return f"`{whole}`" + (f" + adapter `{_file_hash(model.adapter.file)}`" if model.adapter else "")


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
