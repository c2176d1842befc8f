"""The questions that a report displays with everybody's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.question import Question
from orchestrator.evaluation.methods import MethodOutcome
from orchestrator.evaluation.profile import Replies
from orchestrator.evaluation.report.data import SampleAnswer, SampleQuestion

SAMPLES = 24


def samples_of(
    questions: Sequence[Question], outcomes: Sequence[MethodOutcome], replies: Replies
) -> list[SampleQuestion]:
    """A spread of questions over tasks, each with what every expert and method answered."""
    by_task: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        by_task.setdefault(question.task, []).append(index)
    ordered = sorted((place, index) for indices in by_task.values() for place, index in enumerate(indices))
    return [_sample(index, questions[index], outcomes, replies) for _, index in ordered[:SAMPLES]]


def _sample(index: int, question: Question, outcomes: Sequence[MethodOutcome], replies: Replies) -> SampleQuestion:
    answers: dict[str, SampleAnswer] = {}
    ranking: Sequence[Any] = ()
    for outcome in outcomes:
        one = outcome.answers[index]
        ranking = one.ranking or ranking
        if outcome.role == "bound":
            continue
        text = one.used[0].reply.text if len(one.used) == 1 else ""
        answers[outcome.name] = SampleAnswer(
            text=text[:4000],
            answer=one.answer,
            written=one.displayed or "",
            right=one.right,
            confidence=one.confidence,
        )
    for (id, name), reply in replies.items():
        if id == question.id and name not in answers:
            answers[name] = SampleAnswer(
                text=reply.reply.text[:4000],
                answer=reply.reply.answer,
                written=reply.reply.written or "",
                right=reply.right,
                confidence=reply.reply.confidence,
            )
    return SampleQuestion(
        id=question.id,
        task=question.task,
        question=question.question,
        gold=question.answer,
        answers=answers,
        choices=question.choices,
        ranking=ranking,
    )
