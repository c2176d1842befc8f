"""The distillation pipeline: transcripts -> lessons -> one or more students, each an ordinary expert.

An arm is one way of teaching: a level, a single teacher, or a coupling. All arms start from the same student, with
the same number of steps and tokens. Every arm's work lies in its own folder and is resumed there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from agents import simple_transcript
from agents import transcript as transcripts
from agents.transcript import Transcript
from distill.corpus import CorpusSummary, prepare
from distill.errors import DistillError
from distill.graph import interaction_graph
from distill.statistics import CorpusStatistics
from distill.train import METRICS, StepMetrics, read_metrics
from orchestrator.config import Config, ExpertConfig
from orchestrator.errors import BadInput, StorageError
from orchestrator.experts.demo import locate
from orchestrator.inference.expert import Expert
from orchestrator.pipelines.teaching import LESSONS, STUDENT, WORK, TeachRequest, train_in

LEVELS = ("gold", "L1", "L2", "L3", "L4", "L4-detached", "on-policy")
TEACHER, TEACHERS = "teacher:", "teachers"
DONE = "taught.json"


class DistillRequest(TeachRequest):
    """From transcripts to students and a report: each arm is taught, then all are tested on the same questions."""

    arms: list[str] = Field(
        default_factory=lambda: ["L1"],
        min_length=1,
        description="gold, L1, L2, L3, L4, L4-detached, on-policy, teacher:AGENT, teachers (each agent alone); with "
        "commas.",
    )
    seeds: int = Field(default=1, ge=1, le=100, description="Number of students per arm, each with a seed of its own.")
    task: str = Field(default="mixed", description="Test questions: a task's name or file; several with commas.")
    columns: str | None = Field(
        default=None, description="Which column of a file of questions holds what: question=prompt,answer=target."
    )
    questions: int = Field(default=96, ge=1, le=1_000_000, description="Number of test questions.")
    other_task: str | None = Field(default=None, description="Out-of-domain test questions: a task's name or file.")
    max_tokens: int = Field(default=160, ge=1, le=32_768, description="Maximum length of a reply, in tokens.")
    panel: str | None = Field(default=None, description="Discussion to compare with, such as reconcile.")
    panel_experts: list[str] = Field(
        default_factory=list, description="Experts of the panel (default: all but students)."
    )
    panel_rounds: int = Field(default=1, ge=0, le=20, description="The panel's rounds after the first replies.")

    @model_validator(mode="after")
    def _known_arms(self) -> DistillRequest:
        for arm in self.arms:
            if arm not in LEVELS and arm != TEACHERS and not arm.startswith(TEACHER):
                raise ValueError(f"arms: no arm {arm!r} (there are {', '.join(LEVELS)}, {TEACHER}AGENT, {TEACHERS})")
        return self


@dataclass(frozen=True)
class Taught:
    """One student, with how it came about."""

    request: TeachRequest
    arm: str
    folder: Path
    """Its adapter or checkpoint."""
    base: Path
    sifted: CorpusSummary
    metrics: tuple[StepMetrics, ...]
    epochs: float

    @property
    def expert(self) -> ExpertConfig:
        """The student as an entry of a zoo."""
        whole = (self.folder / "config.json").is_file()
        return (
            ExpertConfig(model=str(self.folder))
            if whole
            else ExpertConfig(model=str(self.base), adapter=str(self.folder))
        )


def arms(request: DistillRequest, agents: Iterable[str]) -> list[tuple[str, TeachRequest]]:
    """(arm, what to teach) for each arm and seed, named arm-seed. `agents`: those of the transcripts. Raises
    `BadInput` for a teacher that is none of them."""
    names = list(agents)
    wanted = [
        each for arm in request.arms for each in ([f"{TEACHER}{name}" for name in names] if arm == TEACHERS else [arm])
    ]
    made = []
    for arm in dict.fromkeys(wanted):
        changes: dict[str, Any] = {"level": arm}
        if arm.startswith(TEACHER):
            teacher = arm.removeprefix(TEACHER)
            if teacher not in names:
                raise BadInput(f"arms: no agent {teacher!r} in the transcripts; there are {', '.join(names)}")
            changes = {"level": "L2", "teacher": teacher}
        elif arm == "L4-detached":
            changes = {"level": "L4", "coupling": "detached"}
        settings = request.model_dump(include=set(TeachRequest.model_fields))
        for seed in range(request.seed, request.seed + request.seeds):
            name = f"{request.name}-{_plain(arm)}-{seed}"
            made.append((arm, TeachRequest.model_validate(settings | changes | {"seed": seed, "name": name})))
    return made


def teach(
    request: TeachRequest,
    folder: Path,
    *,
    experts: Mapping[str, Expert],
    arm: str = "",
    report: Callable[[StepMetrics], None] | None = None,
) -> Taught:
    """Teach one student in `folder`: `lessons.jsonl`, `work/`, and the student itself in `student/`.

    One that was finished there with the same request is taken as it is. Raises `BadInput` for what cannot be taught.
    """
    # A worker that loads the student may run in another folder.
    folder = folder.absolute()
    base, licences = student_checkpoint(request.student, experts), _licences(experts)
    done = folder / DONE
    try:
        kept = json.loads(done.read_text("utf-8")) if done.is_file() else {}
        if kept.get("request") == request.model_dump(mode="json"):
            sifted = CorpusSummary.model_validate(kept["sifted"])
            metrics = tuple(read_metrics(folder / WORK / METRICS))
            return Taught(request, arm, folder / STUDENT, base, sifted, metrics, kept["epochs"])
        folder.mkdir(parents=True, exist_ok=True)
        return _taught(request, folder, base, licences, arm, report)
    except DistillError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error


def _taught(
    request: TeachRequest,
    folder: Path,
    base: Path,
    licences: Mapping[str, str],
    arm: str,
    report: Callable[[StepMetrics], None] | None,
) -> Taught:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)

    def tokens(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    sifted = CorpusSummary()
    prepare(read_all(request.transcripts, sifted), request.selection, folder / LESSONS, tokens, sifted)
    if not sifted.lessons:
        raise BadInput(f"transcripts: no lessons remain: {sifted.why_none()}")
    card = {"name": request.name, "base": request.student, "licences": dict(licences)}
    if request.workers == 1:
        again = read_all(request.transcripts, CorpusSummary())
        epochs = train_in(folder, request, base, sifted, card, report, again)
    else:
        from orchestrator.pipelines.distill_workers import train_on_workers

        epochs = train_on_workers(folder, request, base, sifted, card)
    kept = {"request": request.model_dump(mode="json"), "sifted": sifted.model_dump(), "epochs": epochs}
    (folder / DONE).write_text(json.dumps(kept), "utf-8")
    metrics = tuple(read_metrics(folder / WORK / METRICS))
    return Taught(request, arm, folder / STUDENT, base, sifted, metrics, epochs)


def student_checkpoint(student: str, experts: Mapping[str, Expert]) -> Path:
    """The checkpoint folder that a student starts from. Raises `BadInput`."""
    if student.startswith("demo/"):
        return locate(student)
    expert = experts.get(student)
    if expert is not None:
        if expert.weights is None or expert.weights.adapter is not None:
            raise BadInput(f"student: expert {student!r} is no checkpoint: give the folder of one")
        return expert.weights.model
    folder = Path(student).expanduser().absolute()
    if not (folder / "config.json").is_file():
        raise BadInput(f"student: {student!r} is no checkpoint folder, demo model or expert")
    return folder


def read_all(files: Iterable[str], sifted: CorpusSummary | None = None) -> Iterator[Transcript]:
    """The transcripts of several files, one after the other. Lines that are none are counted in `sifted`, else raised
    as `BadInput`; a file that cannot be read always is."""
    for file in files:
        path = Path(file).expanduser()
        if not path.is_file():
            raise BadInput(f"transcripts: {file}: no such file")
        try:
            yield from simple_transcript.read(path, bad=sifted.bad_line if sifted else None)
        except transcripts.TranscriptError as error:
            raise BadInput(f"transcripts: {error}") from error


def inspect(files: Iterable[str], sifted: CorpusSummary | None = None) -> tuple[CorpusStatistics, list[str]]:
    """Statistics of all transcripts, and the agents that spoke in them in order of appearance."""
    found, names = CorpusStatistics(), {}
    for transcript in read_all(files, sifted):
        names.update(dict.fromkeys(transcript.seats[turn.seat].name for turn in transcript.turns))
        found.add(interaction_graph(transcript))
    return found, list(names)


def with_students(config: Config, taught: Iterable[Taught]) -> Config:
    """The configuration with the students in its zoo. Raises `BadInput` where a name is taken."""
    students = {}
    for one in taught:
        if one.request.name in config.experts:
            raise BadInput(f"name: the zoo has an expert {one.request.name!r} already")
        students[one.request.name] = one.expert
    return config.model_copy(update={"experts": {**config.experts, **students}})


def _licences(experts: Mapping[str, Expert]) -> dict[str, str]:
    """What is known of licences: of the demo's own models."""
    known = {"demo/SmolLM2-135M-Instruct": "Apache-2.0", "demo/SmolLM2-99M-pruned": "Apache-2.0"}
    demo = {expert.name for expert in experts.values() if expert.weights and "demo_zoo" in str(expert.weights.adapter)}
    return known | dict.fromkeys(demo, "Apache-2.0")


def _plain(arm: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in arm)[:40]
