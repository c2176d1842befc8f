"""One question through the mixture: whom to ask, and what their answers come to. A coroutine that knows one question;
whoever runs many at once batches them per expert."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agents.votes import Verdict, runner_up
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
class RecruitTarget:
    """How many experts answer a question: always `recruit` of them, or by need, `calls` per question on average, or as
    many as cost `spend` on average."""

    recruit: int = 1
    calls: float | None = None
    """Mean calls per question on questions like the profile's; takes the place of `recruit`."""
    spend: float | None = None
    """Mean cost per question, in the unit of the mixture's costs; takes the place of both."""

    @property
    def by_need(self) -> bool:
        """Whether each question is put to as many experts as it needs."""
        return self.calls is not None or self.spend is not None


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
    gains: tuple[float, ...] = ()
    """By need: after each reply, how much one expects the vote's probability of being right to grow by going on."""


async def decide(
    mixture: FittedMixture,
    ranking: Ranking,
    ask: AskExpert,
    target: RecruitTarget,
    *,
    options: float,
    order: Sequence[str] | None = None,
    fallbacks: int = MAX_FALLBACKS,
) -> Decision:
    """Ask down the ranking until the target is met, and take the vote of those that reply. `options`: ways to answer
    the question (`votes.options_of`); `order`: in which experts are asked, where some are known to be ill (default: the
    ranking's); `fallbacks`: further experts that may be asked where some fail."""
    names = list(ranking.experts if order is None else order)
    if not target.by_need:
        return await _fixed(mixture, ranking, ask, target.recruit, options, names[: target.recruit + fallbacks])
    need = mixture.need if target.spend is None else mixture.paid_need
    place = need.price_for(target.calls or target.spend or 0.0) if need else None
    if need is None or place is None:
        found = await _fixed(mixture, ranking, ask, 1, options, names[: 1 + fallbacks])
        why = "asking more was not right more often on held-out questions" if need else "no vote is fitted"
        return Decision(found.asked, found.replied, found.verdict, f"one expert: {why}")
    asked: list[str] = []
    replies: dict[str, MixtureReply] = {}
    gains: list[float] = []
    most = need.gains.shape[1] + 1
    names = names[: most + fallbacks]
    verdict, stopped = mixture.vote(ranking, [], [], options), "no further expert replies"
    for number, name in enumerate(names, 1):
        asked.append(name)
        reply = await ask(name)
        if reply.failed:
            continue
        replies[name] = reply
        answers = [one.answer for one in replies.values()]
        verdict = mixture.vote(ranking, list(replies), answers, options, by_need=True)
        second = runner_up(verdict, options)
        gains.append(need.gain(place, len(replies), verdict.share, second))
        if number == len(names) and len(replies) < most:
            break
        cost, call = None, "a call"
        if target.spend is not None and number < len(names):
            cost, call = mixture.cost_of(names[number]), f"a call of {names[number]}"
        if (reason := need.enough(place, len(replies), verdict.share, second, cost, call)) is not None:
            stopped = reason
            break
    return Decision(tuple(asked), tuple(replies), verdict, stopped, tuple(gains))


async def _fixed(
    mixture: FittedMixture, ranking: Ranking, ask: AskExpert, recruit: int, options: float, names: Sequence[str]
) -> Decision:
    asked: list[str] = []
    replies: dict[str, MixtureReply] = {}
    while (missing := recruit - len(replies)) > 0 and (following := names[len(asked) : len(asked) + missing]):
        asked += following
        for name, reply in zip(following, await asyncio.gather(*map(ask, following)), strict=True):
            if not reply.failed:
                replies[name] = reply
    verdict = mixture.vote(ranking, list(replies), [reply.answer for reply in replies.values()], options)
    stopped = f"{recruit} experts per question" if len(replies) == recruit else "no further expert replies"
    return Decision(tuple(asked), tuple(replies), verdict, stopped)
