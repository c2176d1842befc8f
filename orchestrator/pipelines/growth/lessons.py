"""A skill's lessons: from its material to questions with worked answers, and what was left out of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.pipelines.growth import worked, written
from orchestrator.pipelines.growth.material import Amounts, Material, Skill
from orchestrator.pipelines.growth.sift import Sifted, sift
from orchestrator.pipelines.growth.worked import Teaching, WorkedAnswers

MIN_HELD_OUT = 10
"""Questions of each held-out split without which nothing is said."""


@dataclass(frozen=True)
class Wanted:
    """How many questions of each split, and how many more are to be written."""

    amounts: Amounts
    written: int = 0


@dataclass(frozen=True)
class LessonCounts:
    """What became of a skill's training questions."""

    found: int
    written: int
    taught: int
    duplicates: int
    leaks: int
    """Left out because they stand in the held-out questions."""
    wrong: int
    """No teacher's answer was right."""
    disagreed: int
    """No gold answer, and the teachers' samples do not agree."""
    failed: int
    """No reply with an answer, or no gold answer in the source."""
    unusable: int
    """Replies that hold no question, or one whose answer was not found again in the document."""
    alike: int
    """Held-out questions that equal a taught one but for names and numbers."""


async def lessons(
    skill: Skill, found: Material, wanted: Wanted, teaching: Teaching | None, context: Context
) -> tuple[Sifted, LessonCounts]:
    """The skill's lessons, sifted. What is written about documents is added to `found`. Raises `BadInput` where there
    is nothing to judge by, or no lesson remains."""
    about = like = written.WrittenQuestions()
    if found.passages:
        if teaching is None:
            raise BadInput(f"skills: {skill.name}: documents hold no questions: name a teacher that writes them")
        if wanted.written:
            raise BadInput(f"skills: {skill.name}: write: all questions about documents are written; set `questions`")
        attempts = sum(dataclasses.astuple(wanted.amounts))
        context.note(f"{skill.name}: {teaching.teachers[0].name} writes questions about {len(found.passages)} passages")
        about = await written.about(found.passages, attempts, teaching, context, skill.name)
        for question in about.questions:
            {"train": found.train, "validation": found.validation, "test": found.test}[str(question.split)].append(
                question
            )
        found.notes.append(f"{skill.name}: held-out questions about documents are the teacher's own, not a person's")
    elif wanted.written and teaching is not None:
        context.note(f"{skill.name}: {teaching.teachers[0].name} writes {wanted.written} questions")
        like = await written.more_like(found.train, wanted.written, teaching, context, skill.name)
    _check_held_out(skill, found)
    if teaching is None or found.passages:
        answers = worked.own(found.train)
    else:
        context.note(f"{skill.name}: {', '.join(one.name for one in teaching.teachers)} work {len(found.train)} out")
        answers = await worked.taught([*found.train, *like.questions], teaching, context)
    sifted = sift(answers.kept, [*found.validation, *found.test])
    counts = _counts(found, answers, sifted, about, like)
    if not sifted.kept:
        raise BadInput(f"skills: {skill.name}: no lesson remains: {_why_none(counts)}")
    return sifted, counts


def _counts(
    found: Material,
    answers: WorkedAnswers,
    sifted: Sifted,
    about: written.WrittenQuestions,
    like: written.WrittenQuestions,
) -> LessonCounts:
    return LessonCounts(
        found=len(found.train),
        written=len(like.questions) + len(about.questions),
        taught=len(sifted.kept),
        duplicates=sifted.duplicates,
        leaks=sifted.leaks,
        wrong=answers.wrong,
        disagreed=answers.disagreed,
        failed=answers.failed + about.failed + like.failed,
        unusable=sum(one.unreadable + one.not_found_again for one in (about, like)),
        alike=sifted.alike,
    )


def _why_none(counts: LessonCounts) -> str:
    told = {name: count for name, count in dataclasses.asdict(counts).items() if count and name not in ("alike",)}
    return ", ".join(f"{name} {count:,}" for name, count in told.items()) or "there were no training questions"


def _check_held_out(skill: Skill, found: Material) -> None:
    for split, questions in (("validation", found.validation), ("test", found.test)):
        if not questions:
            raise BadInput(f"skills: {skill.name}: no {split} questions: nothing could say whether the expert helps")
        if len(questions) < MIN_HELD_OUT:
            raise BadInput(
                f"skills: {skill.name}: {len(questions)} {split} questions, at least {MIN_HELD_OUT} are needed to say "
                "whether the expert helps"
            )
        without = next((one.id for one in questions if one.answer is None), None)
        if without is not None:
            raise BadInput(
                f"skills: {skill.name}: {split} question {without!r} has no gold answer: nothing could say whether the "
                "expert helps (--columns answer=NAME)"
            )
