"""Worked answers: the sources' own, or those of teachers whose answer is right, or on which their samples agree.

Keeping only replies whose answer is right is rejection sampling (Zelikman and others, https://arxiv.org/abs/2203.14465;
Yuan and others, https://arxiv.org/abs/2308.01825). Where there is no gold answer, the most frequent answer of several
samples stands for it (Wang and others, https://arxiv.org/abs/2203.11171), and only for training.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents import prompts
from agents.question import Question
from orchestrator.evaluation.answering import ExpertReply, prompted
from orchestrator.evaluation.context import Context
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling


@dataclass(frozen=True)
class Worked:
    """A training question, how it is worked out, and its answer as it is written."""

    question: Question
    solution: str
    answer: str
    by: str
    """Who worked it out: `source`, or a teacher's name."""


@dataclass
class WorkedAnswers:
    """What became of the questions. Every question is in exactly one of the counts."""

    kept: list[Worked] = field(default_factory=list)
    wrong: int = 0
    """Teachers answered, none of them rightly."""
    disagreed: int = 0
    """No gold answer, and too few samples agree."""
    failed: int = 0
    """No teacher gave a reply that has an answer."""


def own(questions: Sequence[Question]) -> WorkedAnswers:
    """The sources' worked solutions; where there is none, the answer alone. Questions without gold count as failed."""
    found = WorkedAnswers()
    for question in questions:
        if question.answer is None:
            found.failed += 1
        else:
            found.kept.append(Worked(question, question.solution, question.answer, "source"))
    return found


@dataclass(frozen=True)
class Teaching:
    """Who works questions out, and how often."""

    teachers: Sequence[Expert]
    samples: int
    """Replies of each teacher to each question."""
    agreement: float
    """Share of a question's replies, 0 to 1, that must have the same answer where there is no gold."""
    sampling: Sampling
    seed: int


async def taught(questions: Sequence[Question], teaching: Teaching, context: Context) -> WorkedAnswers:
    """Let the teachers work the questions out; of each question the first reply that may be taught is kept."""
    replies = await asyncio.gather(*(_asked(question, teaching, context) for question in questions))
    found = WorkedAnswers()
    for question, given in zip(questions, replies, strict=True):
        answered = [one for one in given if one.error is None and one.reply.answer is not None]
        if not answered:
            found.failed += 1
        elif question.answer is not None:
            right = [one for one in answered if one.right]
            if right:
                found.kept.append(_worked(question, right))
            else:
                found.wrong += 1
        else:
            answer, votes = Counter(one.reply.answer for one in answered).most_common(1)[0]
            if votes / len(given) < teaching.agreement or votes < 2:
                found.disagreed += 1
            else:
                found.kept.append(_worked(question, [one for one in answered if one.reply.answer == answer]))
    return found


def _worked(question: Question, replies: Sequence[ExpertReply]) -> Worked:
    """The first reply that says why; its answer as the source has it, else as the reply writes it."""
    chosen = next((one for one in replies if one.reply.reasoning), replies[0])
    answer = question.answer or chosen.reply.written or chosen.reply.answer or ""
    return Worked(question, chosen.reply.reasoning, answer, chosen.expert)


async def _asked(question: Question, teaching: Teaching, context: Context) -> list[ExpertReply]:
    with context.pool.conversation(question.id, teaching.seed):
        asked = [
            prompted(context.pool, teacher, question, prompts.solve(question), teaching.sampling)
            for teacher in teaching.teachers
            for _ in range(teaching.samples)
        ]
        return await asyncio.gather(*asked)
