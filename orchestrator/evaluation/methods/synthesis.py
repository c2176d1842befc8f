"""An expert that writes the answer from what the recruited said, chosen by a benchmark made of validation replies.

Symbolic-MoE (https://arxiv.org/abs/2503.05641, section 3.3): one right and two wrong replies to a question, shuffled;
the best aggregator is the expert that still answers right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.aggregate import Synthesis, prompt, synthesise
from agents.prompts import Messages
from agents.question import Question
from agents.votes import Verdict
from orchestrator.evaluation.answering import ExpertReply, prompted
from orchestrator.evaluation.methods.method import Setting
from orchestrator.inference.expert import Expert

CASES = 100
"""Questions of the benchmark, spread over the tasks."""
WRONG = 2


@dataclass(frozen=True, slots=True)
class SynthesisCase:
    """One question of the benchmark, with the replies to be weighed."""

    question: Question
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SynthesisChoice:
    """Who aggregates the questions of each task, and each expert's accuracy in the benchmark over all tasks."""

    by_task: Mapping[str, str]
    overall: str
    accuracy: Mapping[str, float]

    def of(self, task: str) -> str:
        """The expert for a task; for one without a case in the benchmark, the best over all."""
        return self.by_task.get(task, self.overall)


def cases(setting: Setting) -> list[SynthesisCase]:
    """One right and two wrong replies to a validation question each, where there are such, shuffled by the seed."""
    by_question: dict[str, list[ExpertReply]] = {}
    for reply in setting.validation.values():
        if reply.completion is not None:
            by_question.setdefault(reply.question.id, []).append(reply)
    found = []
    for replies in by_question.values():
        right = [reply.reply.text for reply in replies if reply.right]
        wrong = [reply.reply.text for reply in replies if not reply.right]
        if right and len(wrong) >= WRONG:
            draw = random.Random(f"{setting.seed}/{replies[0].question.id}")
            sampled = [draw.choice(right), *draw.sample(wrong, WRONG)]
            draw.shuffle(sampled)
            found.append(SynthesisCase(replies[0].question, tuple(sampled)))
    return found[:: max(1, len(found) // CASES)][:CASES]


async def choose(setting: Setting) -> SynthesisChoice | None:
    """Every expert aggregates every case; None if the validation replies hold no case."""
    trials = cases(setting)
    if not trials:
        return None
    experts = list(setting.experts.values())
    rights = await asyncio.gather(*(_right(setting, expert, case) for expert in experts for case in trials))
    scores = {
        expert.name: rights[place * len(trials) : (place + 1) * len(trials)] for place, expert in enumerate(experts)
    }

    def best(wanted: Sequence[int]) -> str:
        return max(scores, key=lambda name: sum(scores[name][index] for index in wanted))

    tasks: dict[str, list[int]] = {}
    for index, case in enumerate(trials):
        tasks.setdefault(case.question.task, []).append(index)
    accuracy = {name: sum(found) / len(trials) for name, found in scores.items()}
    return SynthesisChoice({task: best(own) for task, own in tasks.items()}, best(range(len(trials))), accuracy)


async def written(
    setting: Setting, expert: Expert, used: Sequence[ExpertReply], vote: Verdict
) -> tuple[Synthesis, tuple[ExpertReply, ...]]:
    """The expert's answer from the replies `used`, and what it said."""
    question, replies_used = used[0].question, []

    async def ask(messages: Messages) -> str | None:
        with setting.context.pool.conversation(question.id, setting.seed):
            reply = await prompted(setting.context.pool, expert, question, messages, setting.sampling)
        setting.context.done()
        replies_used.append(reply)
        return reply.reply.text if reply.error is None else None

    found = await synthesise(ask, question, [reply.reply.text for reply in used], vote)
    return found, tuple(replies_used)


async def _right(setting: Setting, expert: Expert, case: SynthesisCase) -> bool:
    with setting.context.pool.conversation(case.question.id, setting.seed):
        messages = prompt(case.question, case.replies)
        reply = await prompted(setting.context.pool, expert, case.question, messages, setting.sampling)
    setting.context.done()
    return reply.right
