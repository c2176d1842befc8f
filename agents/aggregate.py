"""An aggregator that thinks: one model reads k replies and writes one answer; where it fails, the vote stands.

Symbolic-MoE (https://arxiv.org/abs/2503.05641, section 3.3). Aggregators that count are in `agents.votes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agents.prompts import Messages, combine
from agents.question import Question
from agents.reply import parse_reply
from agents.votes import Verdict
from reasoning.text import separate

Ask: TypeAlias = Callable[[Messages], Awaitable[str | None]]
"""One call of the aggregating model; None where it failed."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What an aggregating model made of the replies."""

    answer: str | None
    text: str
    """Its reply; empty where it was not asked or failed."""
    by_vote: bool
    """The vote's answer was taken: the replies agree, or the model gave no answer that can be read."""


async def synthesise(ask: Ask, question: Question, replies: Sequence[str], vote: Verdict) -> Synthesis:
    """One answer from the replies' texts, without their thoughts; the prompt bounds how much of each is shown.

    `vote`: what counting the replies yields. If all who answered agree, nobody is asked.
    """
    if len(vote.groups) < 2:
        return Synthesis(vote.answer, "", True)
    text = await ask(prompt(question, replies))
    answer = parse_reply(text, question).answer if text else None
    if answer is None:
        return Synthesis(vote.answer, text or "", True)
    return Synthesis(answer, text or "", False)


def prompt(question: Question, replies: Sequence[str]) -> Messages:
    """What the aggregating model is asked, in use and in the benchmark by which it is chosen."""
    return combine(question, [text for reply in replies if (text := separate(reply).reply)])
