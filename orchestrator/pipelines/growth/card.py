"""What lies beside a grown adapter: a model card for people, and the record of how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.pipelines.growth.lessons import LessonCounts
from orchestrator.pipelines.growth.sift import Sifted

RECORD = "grown.json"


class TrainingFigures(BaseModel):
    """What a training took."""

    model_config = ConfigDict(frozen=True)

    steps: int
    tokens: int
    seconds: float
    loss: float | None
    """Mean next-token loss of the last step."""


class GrowthRecord(BaseModel):
    """All that decides a grown adapter, and what became of it."""

    model_config = ConfigDict(frozen=True)

    sources: tuple[str, ...]
    request: dict[str, Any]
    """The request's settings."""
    lessons: LessonCounts
    teachers: dict[str, str]
    """Name -> fingerprint."""
    revision: str
    training: TrainingFigures | None = None

    def same(self, other: GrowthRecord) -> bool:
        """Whether the other one would give the same adapter, as far as it is known: the code may have changed."""
        parts = {"sources", "request", "lessons", "teachers"}
        return self.model_dump(include=parts) == other.model_dump(include=parts)


def read_record(folder: Path) -> GrowthRecord | None:
    """The record of a grown adapter; None where there is none, or none that can be read."""
    try:
        return GrowthRecord.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def write_record(folder: Path, record: GrowthRecord) -> None:
    """Write it beside the adapter."""
    (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n", "utf-8")


def card(name: str, base: str, sifted: Sifted, record: GrowthRecord) -> str:
    """The model card, in the Hub's form."""
    by: dict[str, int] = {}
    for one in sifted.kept:
        by[one.by] = by.get(one.by, 0) + 1
    who = ", ".join(f"{count:,} by {'their source' if who == 'source' else who}" for who, count in by.items())
    bare = sum(not one.solution for one in sifted.kept)
    head = {"base_model": base, "library_name": "peft", "tags": ["lora", "collegium"]}
    learned = f"{', '.join(record.sources)}; {len(sifted.kept):,} questions, worked out {who}"
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()),
        "---",
        "",
        f"# {name}",
        "",
        f"A LoRA adapter over {base}, made by `collegium experts grow`.",
        "",
        f"- **Learned from**: {learned}{f'; {bare:,} of them with their answer alone' if bare else ''}.",
        f"- **Left out**: {sifted.duplicates:,} duplicates, {sifted.leaks:,} that stand in the held-out questions.",
        "- **Taught**: solution and answer. No confidence, no keywords, no refusals.",
        f"- **Made by**: `{RECORD}` says from which request, teachers and revision; the run's report, how good it is.",
        "- **Licence**: that of the base model and of the questions; look at both.",
        "",
    ]
    return "\n".join(lines)
