"""From material to sifted lessons: nothing to judge by, or nothing that remains, is refused with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.growth.lessons import Wanted, lessons
from orchestrator.pipelines.growth.material import Amounts, Material, Skill
from orchestrator.pipelines.growth.worked import Teaching

SKILL = Skill("sums", ("file",))


def sums(split: str, numbers: Iterable[int], answer: bool = True) -> list[Question]:
    return [
        Question(
            id=f"{split}-{n}",
            question=f"What is {n} + 1?",
            kind="number",
            answer=str(n + 1) if answer else None,
            split=split,
        )
        for n in numbers
    ]


HELD_OUT = sums("validation", [1, *range(100, 109)]), sums("test", range(120, 130))


def taught_by(context: Context) -> Teaching:
    return Teaching(list(context.experts.values()), 2, 1.0, Sampling(temperature=0.7), seed=0)


async def test_every_question_is_counted_once(teachers: Callable[[], Context]) -> None:
    context = teachers()
    train = [*sums("train", range(5, 9)), *sums("train", range(5, 6)), *sums("train", range(1, 2))]
    train.append(Question(id="wrong", question="What is 2 + 2?", kind="number", answer="5"))
    train.append(Question(id="none", question="What is it?", kind="number", answer="1"))
    found = Material(train, *HELD_OUT)
    sifted, counts = await lessons(SKILL, found, Wanted(Amounts(9, 1, 1)), taught_by(context), context)
    assert [one.question.id for one in sifted.kept] == ["train-5", "train-6", "train-7", "train-8"]
    assert sifted.kept[0].solution == "5 + 1 = 6."
    assert (counts.found, counts.taught, counts.duplicates, counts.leaks) == (8, 4, 1, 1)
    assert (counts.wrong, counts.failed, counts.disagreed) == (1, 1, 0)
    assert counts.found == counts.taught + counts.duplicates + counts.leaks + counts.wrong + counts.failed


async def test_the_teacher_writes_further_questions_when_it_is_asked_to(teachers: Callable[[], Context]) -> None:
    context = teachers()
    found = Material(sums("train", range(5, 7)), *HELD_OUT)
    sifted, counts = await lessons(SKILL, found, Wanted(Amounts(2, 1, 1), 3), taught_by(context), context)
    assert "What is 4 + 4?" in [one.question.question for one in sifted.kept]
    assert counts.written == 2
    assert counts.unusable == 1


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Material(sums("train", range(3)), [], HELD_OUT[1]), "no validation questions"),
        (Material(sums("train", range(3)), HELD_OUT[0], []), "no test questions"),
        (Material(sums("train", range(3)), HELD_OUT[0][:9], HELD_OUT[1]), "9 validation questions, at least 10"),
        (
            Material(sums("train", range(3)), HELD_OUT[0], sums("test", range(120, 130), answer=False)),
            "test question 'test-120' has no gold answer",
        ),
        (Material(sums("train", [1]), *HELD_OUT), "no lesson remains: found 1, leaks 1"),
        (Material(sums("train", range(2), answer=False), *HELD_OUT), "no lesson remains: found 2, failed 2"),
        (Material(passages=["A town."]), "documents hold no questions: name a teacher"),
    ],
)
async def test_what_cannot_be_judged_or_taught_is_refused(
    teachers: Callable[[], Context], found: Material, told: str
) -> None:
    with pytest.raises(BadInput, match=f"skills: sums: .*{told}"):
        await lessons(SKILL, found, Wanted(Amounts(3, 1, 1)), None, teachers())


async def test_more_questions_about_documents_than_asked_for_are_not_promised(teachers: Callable[[], Context]) -> None:
    context = teachers()
    with pytest.raises(BadInput, match="write: all questions about documents are written"):
        await lessons(SKILL, Material(passages=["Town A."]), Wanted(Amounts(1, 1, 1), 3), taught_by(context), context)
