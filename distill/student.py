"""The student as others meet it: a folder with an adapter or a checkpoint, and a model card that says where it comes
from. The graph encoder stays behind.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from distill.corpus import CorpusSummary, DroppedTranscripts
from distill.pairs import Selection
from distill.specification import TrainingSpec
from distill.train import TrainingResult


class CardFacts(BaseModel):
    """What a model card tells, beside what the training itself knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    base: str = Field(description="The student's model before it was taught.")
    licences: dict[str, str] = Field(default_factory=dict, description="Model -> licence, of base and teachers.")
    metrics: dict[str, str] = Field(default_factory=dict, description="What was measured of the student.")


def write_student(
    trained: TrainingResult,
    spec: TrainingSpec,
    selection: Selection,
    sifted: CorpusSummary,
    card: CardFacts,
    folder: Path,
    *,
    merged: bool = False,
) -> Path:
    """Write the taught student to `folder`, whole or not at all; an existing one is replaced.

    A LoRA student is an adapter in peft's layout, or with `merged` a checkpoint; a fully trained one is always a
    checkpoint. Raises OSError.
    """
    import torch

    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    model: Any = trained.network.model
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            if spec.method == "lora" and not merged:
                model.save_pretrained(draft, safe_serialization=True)
            else:
                whole = model.merge_and_unload() if spec.method == "lora" else model.to(torch.bfloat16)
                whole.save_pretrained(draft, safe_serialization=True)
                trained.network.tokenizer.save_pretrained(draft)
        settings = {"training": spec.model_dump(), "selection": selection.model_dump(), "data": sifted.model_dump()}
        (draft / "distillation.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (draft / "README.md").write_text(model_card(trained, spec, selection, sifted, card), "utf-8")
        for path in draft.iterdir():
            path.chmod(0o644)
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def model_card(
    trained: TrainingResult, spec: TrainingSpec, selection: Selection, sifted: CorpusSummary, card: CardFacts
) -> str:
    """The student's origin in Markdown. Names are shown as code, so that none can style the page."""
    last = trained.metrics[-1] if trained.metrics else None
    facts = {
        "Base": _code(card.base),
        "Distilled from": f"{sifted.lessons} of {sifted.transcripts} transcripts ({_counted(sifted.discussions)})",
        "Level": f"{selection.level}"
        + (f", teacher {_code(selection.teacher)}" if selection.teacher else "")
        + (f", graph coupling {spec.coupling}" if selection.level == "L4" else ""),
        "Training": f"{'LoRA rank ' + str(spec.rank) if spec.method == 'lora' else 'all weights'}, "
        f"{trained.state.step} steps, {trained.state.tokens:,} tokens, {trained.epochs:.2f} epochs, seed {spec.seed}",
    }
    if sifted.own:
        facts["Own replies"] = _counted(sifted.own)
    if last:
        listed = (("next token", last.next_token), ("graph nodes", last.node), ("margin", last.margin))
        facts["Last losses"] = ", ".join(f"{name} {value:.3f}" for name, value in listed if value is not None)
    facts |= {key: _line(value) for key, value in card.metrics.items()}
    teachers = sorted(sifted.teachers.items(), key=lambda entry: -entry[1])
    lines = [
        f"# {_line(card.name)}",
        "",
        "A student that Collegium distilled from a discussion's transcripts (MAGDi, https://arxiv.org/abs/2402.01620).",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {key} | {value} |" for key, value in facts.items()),
        "",
        "## Teachers",
        "",
        "| model | replies | licence |",
        "| --- | --- | --- |",
        *(f"| {_code(name)} | {count} | {_line(card.licences.get(name, 'not stated'))} |" for name, count in teachers),
        "",
        "Their licences, and the base's "
        f"({_line(card.licences.get(card.base, 'not stated'))}), may bind what is done with the student.",
        "",
        "## Data",
        "",
        f"Questions by task: {_counted(sifted.tasks)}.",
        "",
        *_left_out("Questions", sifted.questions_dropped),
        *_left_out("Replies", sifted.replies_dropped),
    ]
    return "\n".join(lines) + "\n"


def _left_out(what: str, dropped: Mapping[str, DroppedTranscripts]) -> list[str]:
    if not dropped:
        return [f"{what} left out: none.", ""]
    return [f"{what} left out: " + "; ".join(f"{found.count} ({rule})" for rule, found in dropped.items()) + ".", ""]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_code(name)} {count}" for name, count in counts.items()) or "none"


def _code(text: str) -> str:
    return f"`{_line(text).replace('`', '')}`"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:300]
