"""The questions of a report with everybody's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.question import Question
from orchestrator.evaluation.answer_rows import LETTERS
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.methods import MethodOutcome
from orchestrator.evaluation.outcomes import outcome_of
from orchestrator.evaluation.profile import Replies
from orchestrator.evaluation.report.data import SampleAnswer, SampleQuestion

LONGEST = 4_000
"""Characters of a reply that are kept for the report."""


def samples_of(
    questions: Sequence[Question], outcomes: Sequence[MethodOutcome], replies: Replies
) -> list[SampleQuestion]:
    """Each question, in its order, with what every expert and method answered."""
    experts: dict[str, list[tuple[str, ExpertReply]]] = {}
    for (id, name), reply in replies.items():
        experts.setdefault(id, []).append((name, reply))
    return [_sample(index, one, outcomes, experts.get(one.id, ())) for index, one in enumerate(questions)]


def _sample(
    index: int, question: Question, outcomes: Sequence[MethodOutcome], replies: Sequence[tuple[str, ExpertReply]]
) -> SampleQuestion:
    answers: dict[str, SampleAnswer] = {}
    ranking: Sequence[Any] = ()
    for outcome in outcomes:
        one = outcome.answers[index]
        ranking = one.ranking or ranking
        if outcome.role == "bound":
            continue
        text = one.used[0].reply.text if len(one.used) == 1 else ""
        answers[outcome.name] = SampleAnswer(
            text=text[:LONGEST],
            answer=one.answer,
            written=one.displayed or "",
            right=one.right,
            outcome=LETTERS[one.outcome],
            confidence=one.confidence,
        )
    for name, reply in replies:
        if name not in answers:
            answers[name] = SampleAnswer(
                text=(reply.error or reply.reply.text)[:LONGEST],
                answer=reply.reply.answer,
                written=reply.reply.written or "",
                right=reply.right,
                outcome=LETTERS[outcome_of(reply)],
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
