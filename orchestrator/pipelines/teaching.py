"""One student's training, in this process or in each of several workers: what is asked for, and its folder's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from agents.transcript import Transcript
from distill.corpus import CorpusSummary
from distill.pairs import Selection
from distill.specification import TrainingSpec
from distill.train import StepMetrics

LESSONS, WORK, STUDENT = "lessons.jsonl", "work", "student"
"""In the folder of a student: its lessons, the training's own files, and the student itself."""


def steps_of(name: str, note: Callable[[str], None]) -> Callable[[StepMetrics], None]:
    """Tells each step of a training as a note (which also ends the training where its run was cancelled)."""

    def report(metrics: StepMetrics) -> None:
        loss = "" if metrics.next_token is None else f": loss {metrics.next_token:.3f}"
        speed = f", {metrics.tokens / metrics.seconds:,.0f} tokens/s" if metrics.seconds else ""
        note(f"training {name}, step {metrics.step} of {metrics.steps}{loss}{speed}")

    return report


class TeachRequest(Selection, TrainingSpec):
    """Teach one student from transcripts."""

    transcripts: list[str] = Field(min_length=1, description="Files of transcripts; several with commas.")
    student: str = Field(
        default="demo/SmolLM2-135M-Instruct",
        min_length=1,
        description="A checkpoint folder, a demo model, or an expert that is a checkpoint.",
    )
    name: str = Field(default="student", pattern=r"^[\w.-]{1,64}$", description="The student's name as an expert.")
    merged: bool = Field(default=False, description="Write a checkpoint in place of an adapter.")
    workers: int = Field(default=1, ge=1, le=1_024, description="Processes that share each step (Ray Train).")

    @model_validator(mode="after")
    def _one_process(self) -> TeachRequest:
        if self.level == "on-policy" and self.workers > 1:
            raise ValueError("workers: level on-policy trains in one process: leave out workers")
        return self

    @property
    def selection(self) -> Selection:
        """Which lessons the student learns from."""
        return Selection.model_validate(self.model_dump(include=set(Selection.model_fields)))

    def spec(self, folder: Path) -> TrainingSpec:
        """How to train the student, whose checkpoint lies in `folder`."""
        settings = self.model_dump(include=set(TrainingSpec.model_fields))
        return TrainingSpec.model_validate(settings | {"student": str(folder)})


def train_in(
    folder: Path,
    request: TeachRequest,
    base: Path,
    sifted: CorpusSummary,
    card: Mapping[str, Any],
    report: Callable[[StepMetrics], None] | None = None,
    transcripts: Iterable[Transcript] = (),
) -> float:
    """Train on the folder's lessons and write the student there; the epochs that it took. Of several processes the
    first one writes. `transcripts`: those that the lessons are of, for level on-policy."""
    from distill.on_policy import train_on_policy
    from distill.student import CardFacts, write_student
    from distill.train import train

    spec = request.spec(base)
    if request.level == "on-policy":
        work = folder / WORK
        trained = train_on_policy(spec, request.selection, transcripts, folder / LESSONS, work, sifted, report)
    else:
        trained = train(spec, folder / LESSONS, folder / WORK, report)
    if trained.main:
        target = folder / STUDENT
        write_student(trained, spec, request.selection, sifted, CardFacts(**card), target, merged=request.merged)
    return trained.epochs
