"""The grow pipeline: from questions, a few examples or documents to a skill expert that is shown to help, or is not.

The idea of SELMA (https://arxiv.org/abs/2403.06952), for language models: material per skill, one LoRA adapter per
skill, then a merge and a mixture of them. Training questions, those by which it is decided whether an expert helps, and
those that are reported on are three splits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from agents import prompts
from distill.supervised import Example
from orchestrator.config import Config, ExpertConfig
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.profile import chosen
from orchestrator.evaluation.report.data import Comparison, RunReport
from orchestrator.evaluation.report.formats import interval, percent, points, probability
from orchestrator.evaluation.report.page import notebook_frame
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.adapter_training import LoraSettings, train_adapter
from orchestrator.pipelines.distill import student_checkpoint
from orchestrator.pipelines.growth.card import GrowthRecord, TrainingFigures, card, read_record, write_record
from orchestrator.pipelines.growth.held_out import BASE, FILE, MERGED, Bench, HeldOut, SkillFigures, figures, only, page
from orchestrator.pipelines.growth.lessons import LessonCounts, Wanted, lessons
from orchestrator.pipelines.growth.material import Amounts, Material, Skill, material, skills_in
from orchestrator.pipelines.growth.sift import Sifted
from orchestrator.pipelines.growth.worked import Teaching, Worked
from orchestrator.pipelines.teaching import steps_of
from orchestrator.run_folder import revision


class GrowRequest(LoraSettings):
    """Make skill experts: training questions with worked answers, a LoRA adapter for each skill, and a test on
    held-out questions that says whether it helped. Several skills are also merged and mixed, and compared."""

    skills: list[str] = Field(
        min_length=1,
        description="NAME=TASK: the expert's name, and a task, a file of questions or a folder of documents; several "
        "of these with +.",
    )
    base: str = Field(
        default="demo/SmolLM2-135M-Instruct",
        min_length=1,
        description="What learns: a checkpoint folder, a demo model, or an expert that is a checkpoint.",
    )
    columns: str | None = Field(
        default=None,
        description="Which column of a file holds what: question=prompt,answer=target,solution=rationale.",
    )
    teacher: list[str] = Field(
        default_factory=list,
        description="Experts that work the answers out (default: the source's own solutions, else its answers alone). "
        "The first one also writes questions.",
    )
    questions: int = Field(default=1_200, ge=1, le=1_000_000, description="Number of training questions per skill.")
    write: int = Field(
        default=0, ge=0, le=1_000_000, description="Further training questions that the teacher writes per skill."
    )
    samples: int = Field(default=4, ge=1, le=64, description="Replies of each teacher to each training question.")
    agreement: float = Field(
        default=0.6, gt=0, le=1, description="Share of these that must agree where there is no gold answer."
    )
    temperature: float = Field(default=0.7, ge=0, le=5, description="Sampling temperature of the teachers.")
    validation_questions: int = Field(
        default=100, ge=10, le=1_000_000, description="Questions per skill that decide whether an expert helps."
    )
    test_questions: int = Field(
        default=200, ge=10, le=1_000_000, description="Questions per skill that are reported on."
    )
    max_tokens: int = Field(default=160, ge=1, le=32_768, description="Maximum length of a reply, in tokens.")
    out: str | None = Field(default=None, description="Folder for the adapters (default: the run folder).")


@dataclass(frozen=True)
class GrownSkill:
    """One expert that was grown. Accuracies are fractions."""

    name: str
    folder: Path
    lessons: LessonCounts
    training: TrainingFigures
    decided: Comparison
    """On the validation questions, against the base."""
    figures: SkillFigures
    """Of the test questions."""

    @property
    def helped(self) -> bool:
        """Whether the expert is better than its base beyond doubt, on the questions that decide."""
        return self.decided.sure and self.decided.difference.value > 0


@dataclass(frozen=True)
class GrowResult:
    """The experts, and all of them on the held-out questions of all skills."""

    report: RunReport
    skills: tuple[GrownSkill, ...]
    experts: dict[str, dict[str, Any]]
    """What helped, as a configuration has it."""

    def _repr_html_(self) -> str:
        return notebook_frame(self.report)


async def grow(request: GrowRequest, context: Context, folder: Path) -> GrowResult:
    """Grow the skills one after the other, each in its own folder; then judge them together.

    Raises `BadInput` for what cannot be grown: no questions, no gold answers to judge by, no lesson that remains; and
    `ConfigError` for a base that cannot be trained.
    """
    folder = folder.absolute()
    wanted = skills_in(request.skills)
    _check_names(wanted, context.config)
    base = student_checkpoint(request.base, context.experts if _names_expert(request.base) else {})
    model = request.base if request.base.startswith("demo/") else str(base)
    teaching = _teaching(request, context)
    out = (Path(request.out).expanduser() if request.out else folder).absolute()
    amounts = Wanted(Amounts(request.questions, request.validation_questions, request.test_questions), request.write)
    trained: dict[str, tuple[LessonCounts, TrainingFigures]] = {}
    materials: dict[str, Material] = {}
    for skill in wanted:
        found = await asyncio.to_thread(material, skill, amounts.amounts, request.seed, request.columns, context.note)
        sifted, counts = await lessons(skill, found, amounts, teaching, context)
        made = GrowthRecord(
            sources=skill.sources,
            request=request.model_dump(mode="json", exclude={"skills", "out"}),
            lessons=counts,
            teachers={one.name: one.fingerprint for one in teaching.teachers} if teaching else {},
            revision=revision(),
        )
        trained[skill.name] = (
            counts,
            await asyncio.to_thread(_trained, request, model, sifted, made, out / skill.name, context),
        )
        materials[skill.name] = found
    entries = {name: {"model": model, "adapter": str(out / name)} for name in trained}
    zoo = {BASE: ExpertConfig(model=model)} | {
        name: ExpertConfig.model_validate(entry) for name, entry in entries.items()
    }
    held_out = HeldOut.of({name: [*one.validation, *one.test] for name, one in materials.items()})
    held_out.write(folder / FILE)
    bench = Bench(only(context, zoo), folder / FILE, held_out, request.max_tokens, request.seed)
    context.note(f"judging on {len(held_out.questions):,} held-out questions")
    decided, result = await asyncio.gather(bench.decided(), bench.reported())
    skills = tuple(
        GrownSkill(
            name=name,
            folder=out / name,
            lessons=counts,
            training=last,
            decided=decided[name],
            figures=figures(result, held_out, name, request.seed),
        )
        for name, (counts, last) in trained.items()
    )
    helped = [one.name for one in skills if one.helped]
    merged = await bench.merged(helped) if len(helped) > 1 else None
    notes = [note for one in materials.values() for note in one.notes]
    report = page(result, merged, list(trained), [*notes, *map(verdict, skills)])
    return GrowResult(report, skills, {name: entries[name] for name in helped})


def verdict(skill: GrownSkill) -> str:
    """One line: whether the expert helps, by how much, and what is to be known of its lessons."""
    told = skill.figures
    difference = skill.decided.difference
    decided = f"validation: {points(difference.value)}, {interval(difference)}, p {probability(skill.decided.p)}"
    line = (
        f"{skill.name}: {percent(told.before.value)} to {percent(told.after.value)} on {told.gain.n} test questions, "
        f"{'helps' if skill.helped else 'did not help'} ({decided})"
    )
    alike = skill.lessons.alike
    return line + (f"; {alike} held-out questions equal a taught one but for names and numbers" if alike else "")


def _check_names(wanted: Sequence[Skill], config: Config) -> None:
    for skill in wanted:
        if skill.name in config.experts:
            raise BadInput(f"skills: the zoo has an expert {skill.name!r} already")
        if skill.name in (BASE, MERGED):
            raise BadInput(f"skills: {skill.name!r} is a name of the report's own rows")


def _names_expert(base: str) -> bool:
    return not base.startswith("demo/") and not Path(base).expanduser().is_dir()


def _teaching(request: GrowRequest, context: Context) -> Teaching | None:
    if not request.teacher:
        if request.write:
            raise BadInput("write: questions are written by a teacher: name one")
        return None
    sampling = Sampling(max_tokens=request.max_tokens, temperature=request.temperature)
    teachers = chosen(context.experts, request.teacher)
    return Teaching(teachers, request.samples, request.agreement, sampling, request.seed)


def _trained(
    request: GrowRequest, model: str, sifted: Sifted, made: GrowthRecord, out: Path, context: Context
) -> TrainingFigures:
    """The adapter in the folder `out`, trained now or by an earlier run that was asked for the same."""
    if (known := read_record(out)) is not None and known.same(made) and known.training is not None:
        context.note(f"{out.name} is trained already")
        return known.training
    context.note(f"training {out.name} on {len(sifted.kept):,} questions")

    settings = LoraSettings.model_validate(request.model_dump(include=set(LoraSettings.model_fields)))
    files = {"README.md": card(out.name, model, sifted, made)}
    last = train_adapter(
        out.name, model, settings, [lesson(one) for one in sifted.kept], out, files, steps_of(out.name, context.note)
    )
    figures = TrainingFigures(steps=last.steps, tokens=last.tokens, seconds=last.seconds, loss=last.next_token)
    write_record(out, made.model_copy(update={"training": figures}))
    return figures


def lesson(one: Worked) -> Example:
    """What a student is taught: the prompt that experts are asked with, the solution, the answer."""
    reply = one.solution or one.answer if one.question.is_chat else f"{one.solution}\nAnswer: {one.answer}".strip()
    return Example(messages=prompts.solve(one.question), reply=((reply, True),))
