"""Questions that a model writes: more of a kind, from examples, or about documents.

From examples as in Self-Instruct (https://arxiv.org/abs/2212.10560); about documents with an answer that has to be
found again with the passage at hand (round-trip consistency, https://arxiv.org/abs/1906.05416).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents import prompts
from agents.prompts import Messages
from agents.question import Question
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.tasks.task import split_of
from orchestrator.inference.request import Completion
from orchestrator.pipelines.growth.worked import Teaching, taught

SHOWN = 3
"""Examples in a prompt."""
MAX_QUESTION = 2_000
_LABEL = re.compile(r"^[\s*_#>-]*(?:new )?question[\s*_]*(?:\d+)?[\s*_]*:\s*", re.IGNORECASE)
_PAIR = re.compile(
    r"question[\s*_]*:[\s*_]*(?P<question>.+?)\s*\n[\s*_#>-]*answer[\s*_]*:[\s*_]*(?P<answer>[^\n]+)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class WrittenQuestions:
    """What the writer wrote. What could not be used is counted."""

    questions: list[Question] = field(default_factory=list)
    unreadable: int = 0
    """Replies that hold no question."""
    not_found_again: int = 0
    """About documents: the answer was not given again with the passage at hand."""
    failed: int = 0
    """Requests that failed."""


async def more_like(
    examples: Sequence[Question], count: int, teaching: Teaching, context: Context, name: str
) -> WrittenQuestions:
    """`count` attempts at new questions of the examples' kind, without gold answers. The first teacher writes."""
    if not examples:
        raise BadInput(f"{name}: no training questions to write more of")
    rng = random.Random(f"{name}/write/{teaching.seed}")
    shown = [rng.sample(list(examples), min(SHOWN, len(examples))) for _ in range(count)]
    found = WrittenQuestions()
    replies = await _asked([prompts.another(one) for one in shown], teaching, context, f"{name}-written")
    for place, (text, models) in enumerate(zip(replies, shown, strict=True)):
        if text is None:
            found.failed += 1
        elif not (asked := _question(text)) or models[0].choices:
            found.unreadable += 1  # options of a written question would have no right one
        else:
            first = models[0]
            found.questions.append(
                Question(
                    id=f"{name}-written-{place}",
                    task=first.task,
                    question=asked,
                    kind=first.kind,
                    skills=first.skills,
                    split="train",
                )
            )
    return found


async def about(
    passages: Sequence[str], count: int, teaching: Teaching, context: Context, name: str
) -> WrittenQuestions:
    """`count` attempts at questions with gold answers about the passages, in turn. The first teacher writes; what all
    of them answer with the passage at hand must be what was written, in `teaching.agreement` of the replies."""
    found = WrittenQuestions()
    taken = [passages[place % len(passages)] for place in range(count)]
    replies = await _asked([prompts.ask_about(one) for one in taken], teaching, context, f"{name}-about")
    candidates = []
    for place, (text, passage) in enumerate(zip(replies, taken, strict=True)):
        pair = None if text is None else _PAIR.search(text)
        if text is None:
            found.failed += 1
        elif pair is None or len(pair["question"]) > MAX_QUESTION or not pair["answer"].strip(" *_."):
            found.unreadable += 1
        else:
            asked, answer = " ".join(pair["question"].split()), pair["answer"].strip(" *_")
            id = f"{name}-about-{place}"
            candidates.append((Question(id=id, task=name, question=asked, kind="text", answer=answer), passage))
    read = [one.model_copy(update={"question": f"{passage}\n\n{one.question}"}) for one, passage in candidates]
    again = {worked.question.id for worked in (await taught(read, teaching, context)).kept}
    for question, _ in candidates:
        if question.id in again:
            split = split_of(question.question)
            found.questions.append(question.model_copy(update={"split": split}))
        else:
            found.not_found_again += 1
    return found


def _question(text: str) -> str:
    """The question in a reply: its first line that ends with a question mark, else all of it."""
    body = _LABEL.sub("", text.strip())
    body = re.split(r"\n[\s*_#>-]*(?:answer|solution)\b", body, maxsplit=1, flags=re.IGNORECASE)[0]
    body = re.sub(r"^[\s\"'*_-]+|[\s\"'*_]+$", "", " ".join(body.split()))
    return body if 10 <= len(body) <= MAX_QUESTION else ""


async def _asked(prompts_: Sequence[Messages], teaching: Teaching, context: Context, name: str) -> list[str | None]:
    """Replies in order; None where a request failed."""
    pool, writer = context.pool, teaching.teachers[0]
    with pool.conversation(name, teaching.seed):
        calls = [
            (pool.request(writer, [(one["role"], one["content"]) for one in messages], teaching.sampling), writer)
            for messages in prompts_
        ]
    outcomes = await pool.ask(calls)
    texts: list[str | None] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, CollegiumError):
            raise outcome
        texts.append(outcome.text if isinstance(outcome, Completion) else None)
    return texts
