"""Asking experts questions: one coroutine a question and expert, all at once; the scheduler makes batches of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.answers import score
from agents.prompts import Messages, solve
from agents.question import Question, ScorerFailed
from agents.reply import Reply, parse_reply
from orchestrator.errors import CollegiumError
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Sampling


@dataclass(frozen=True, slots=True)
class ExpertReply:
    """What one expert made of one question. A request that failed has its `error`, and no answer."""

    question: Question
    expert: str
    reply: Reply
    right: bool
    completion: Completion | None
    error: str | None = None
    failure: CollegiumError | None = None
    """The typed error behind `error`, as long as the reply has not been stored and read again."""
    unscored: str | None = None
    """Why a scorer of one's own could not say whether the answer is right; the reply itself is there."""

    @property
    def judged(self) -> bool:
        """Whether it is known to be right or not: the request did not fail, and neither did its scorer."""
        return self.error is None and self.unscored is None


def is_right(question: Question, answer: str | None) -> bool:
    """Whether an answer equals one of the question's gold answers; an abstention never does. Raises `ScorerFailed`."""
    return answer is not None and question.answer is not None and score(answer, question) == 1.0


def judge(question: Question, answer: str | None) -> tuple[bool, str | None]:
    """(whether an answer is right, why its scorer could not tell)."""
    try:
        return is_right(question, answer), None
    except ScorerFailed as error:
        return False, str(error)


async def answer_all(
    pool: Pool,
    experts: Sequence[Expert],
    questions: Sequence[Question],
    sampling: Sampling,
    seed: int,
    done: Callable[[], None] = lambda: None,
) -> dict[tuple[str, str], ExpertReply]:
    """Every expert on every question: (question id, expert name) -> what it answered."""
    pairs = [(question, expert) for expert in experts for question in questions]
    return await answer_pairs(pool, pairs, sampling, seed, done)


async def answer_pairs(
    pool: Pool,
    pairs: Sequence[tuple[Question, Expert]],
    sampling: Sampling,
    seed: int,
    done: Callable[[], None] = lambda: None,
) -> dict[tuple[str, str], ExpertReply]:
    """The given (question, expert) pairs. What is one expert's failure is recorded; a failed store is raised."""

    async def one(question: Question, expert: Expert) -> ExpertReply:
        answered = await answer(pool, expert, question, sampling, seed)
        done()
        return answered

    results = await asyncio.gather(*(one(question, expert) for question, expert in pairs))
    return {(result.question.id, result.expert): result for result in results}


async def answer(pool: Pool, expert: Expert, question: Question, sampling: Sampling, seed: int) -> ExpertReply:
    """One question to one expert."""
    with pool.conversation(question.id, seed):
        return await prompted(pool, expert, question, solve(question), sampling)


async def prompted(
    pool: Pool, expert: Expert, question: Question, messages: Messages, sampling: Sampling
) -> ExpertReply:
    """One reply about a question to any prompt; to be called within a conversation, which counts the draws."""
    request = pool.request(expert, [(message["role"], message["content"]) for message in messages], sampling)
    (outcome,) = await pool.ask([(request, expert)])
    if isinstance(outcome, CollegiumError) and outcome.elsewhere:
        return ExpertReply(question, expert.name, parse_reply("", question), False, None, str(outcome), outcome)
    if isinstance(outcome, Exception):
        raise outcome
    assert isinstance(outcome, Completion), outcome
    reply = parse_reply(outcome.text, question, outcome.reasoning, cut=outcome.finish_reason == "length")
    right, unscored = judge(question, reply.answer)
    return ExpertReply(question, expert.name, reply, right, outcome, unscored=unscored)
