"""Worked answers: the source's, or a teacher's where its answer is right or its samples agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agents.question import Question
from orchestrator.evaluation.context import Context
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.growth.worked import Teaching, Worked, own, taught

QUESTIONS = [
    Question(id="known", question="What is 1 + 1?", kind="number", answer="2"),
    Question(id="missed", question="What is 5 + 5?", kind="number", answer="11"),
    Question(id="open", question="What is 2 + 2?", kind="number"),
    Question(id="split", question="What is 3 + 3?", kind="number"),
    Question(id="silent", question="What is nothing?", kind="number"),
]


def test_the_sources_own_solutions_are_taken_and_no_gold_is_a_failure() -> None:
    solved = QUESTIONS[0].solved_by("1 + 1 = 2.")
    found = own([solved, *QUESTIONS[1:3]])
    assert found.kept == [Worked(solved, "1 + 1 = 2.", "2", "source"), Worked(QUESTIONS[1], "", "11", "source")]
    assert found.failed == 1


async def test_only_right_replies_are_taught_and_only_agreement_where_nobody_knows(
    teachers: Callable[[], Context], tmp_path: Path
) -> None:
    context = teachers()
    teaching = Teaching(list(context.experts.values()), 4, 0.75, Sampling(temperature=0.7), seed=0)
    found = await taught(QUESTIONS, teaching, context)
    assert [(one.question.id, one.solution, one.answer, one.by) for one in found.kept] == [
        ("known", "1 + 1 = 2.", "2", "teacher"),
        ("open", "2 + 2 = 4.", "4", "teacher"),
    ]
    assert (found.wrong, found.disagreed, found.failed) == (1, 1, 1)


@pytest.mark.parametrize(("agreement", "kept"), [(0.5, 2), (0.75, 1)])
async def test_agreement_is_a_share_of_all_replies(
    teachers: Callable[[], Context], agreement: float, kept: int
) -> None:
    context = teachers()
    teaching = Teaching(list(context.experts.values()), 4, agreement, Sampling(temperature=0.7), seed=0)
    assert len((await taught(QUESTIONS[2:4], teaching, context)).kept) == kept
