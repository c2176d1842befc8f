"""Questions that a model writes: more of a kind, and about documents, where the answer has to be found again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.growth.worked import Teaching
from orchestrator.pipelines.growth.written import about, more_like

EXAMPLES = [Question(id=str(n), task="legs", question=f"How many legs have {n} cows?", kind="number") for n in range(4)]


def teaching(context: Context) -> Teaching:
    return Teaching(list(context.experts.values()), 2, 1.0, Sampling(temperature=0.7), seed=0)


async def test_more_questions_of_a_kind_without_answers_and_marks(teachers: Callable[[], Context]) -> None:
    context = teachers()
    found = await more_like(EXAMPLES, 6, teaching(context), context, "legs")
    assert {one.question for one in found.questions} == {"How many legs have 3 hens and 2 cows?", "What is 4 + 4?"}
    assert {(one.kind, one.task, one.split, one.answer) for one in found.questions} == {
        ("number", "legs", "train", None)
    }
    assert len({one.id for one in found.questions}) == len(found.questions) == 4
    assert (found.unreadable, found.failed) == (2, 0)


async def test_without_examples_there_is_nothing_to_write_more_of(teachers: Callable[[], Context]) -> None:
    context = teachers()
    with pytest.raises(BadInput, match="legs: no training questions"):
        await more_like([], 1, teaching(context), context, "legs")


async def test_about_documents_only_what_is_found_again_with_the_passage_is_kept(
    teachers: Callable[[], Context],
) -> None:
    context = teachers()
    passages = [f"Town {name} was founded by Ada {name}." for name in "ABC"]
    found = await about(passages, 3, teaching(context), context, "towns")
    assert [(one.question, one.answer) for one in found.questions] == [("Who founded town A?", "Ada A")]
    assert found.questions[0].split in ("train", "validation", "test")
    assert (found.not_found_again, found.unreadable, found.failed) == (1, 1, 0)
