"""One question through the mixture: whom to ask, and what their answers come to. A coroutine that knows one question;
whoever runs many at once batches them per expert."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agents.votes import Verdict
from orchestrator.evaluation.mixture.fitted import FittedMixture
from router.ranking import Ranking

MAX_FALLBACKS = 4
"""Further experts that one question may be put to where some give no reply."""


@dataclass(frozen=True, slots=True)
class MixtureReply:
    """What one expert gave: an answer in canonical form, None for an abstention; `failed`: no reply at all."""

    answer: str | None
    failed: bool = False


AskExpert = Callable[[str], Awaitable[MixtureReply]]
"""Name of an expert -> its reply."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the mixture made of one question."""

    asked: tuple[str, ...]
    """Experts in the order in which they were asked."""
    replied: tuple[str, ...]
    """Those of them that replied."""
    verdict: Verdict
    stopped: str
    """Why nobody else was asked."""


async def decide(
    mixture: FittedMixture,
    ranking: Ranking,
    ask: AskExpert,
    *,
    recruit: int,
    options: float,
    order: Sequence[str] | None = None,
    fallbacks: int = MAX_FALLBACKS,
) -> Decision:
    """Ask the first `recruit` experts of the ranking that reply, and take their vote. `options`: ways to answer the
    question (`votes.options_of`); `order`: in which experts are asked, where some are known to be ill (default: the
    ranking's); `fallbacks`: further experts that may be asked where some fail."""
    names = list(ranking.experts if order is None else order)[: recruit + fallbacks]
    asked: list[str] = []
    replies: dict[str, MixtureReply] = {}
    while (missing := recruit - len(replies)) > 0 and (following := names[len(asked) : len(asked) + missing]):
        asked += following
        for name, reply in zip(following, await asyncio.gather(*map(ask, following)), strict=True):
            if not reply.failed:
                replies[name] = reply
    answers = [reply.answer for reply in replies.values()]
    verdict = mixture.vote(ranking, list(replies), answers, recruit, options)
    stopped = f"{recruit} experts per question" if len(replies) == recruit else "no further expert replies"
    return Decision(tuple(asked), tuple(replies), verdict, stopped)
