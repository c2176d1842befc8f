"""A chat with one expert: its deltas as they come."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

from orchestrator.chats.chat_events import ChatEvents, FinishEvent, PromptEvent, ReasoningEvent, TextEvent, UsageEvent
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.prices import paid, total
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.conversation_scope import ConversationScope, entered


async def ask_expert(
    pool: Pool,
    expert: Expert,
    messages: Sequence[PromptMessage],
    sampling: Sampling,
    *,
    n: int = 1,
    seed: int | None = None,
    stream: bool = False,
    max_wait: float | None = None,
) -> ChatEvents:
    """`n` choices. Without `seed` each call draws anew; with one it repeats itself. Raises what the pool raises."""
    async for event in ask_prompts(
        pool, expert, [messages], sampling, n=n, seed=seed, stream=stream, max_wait=max_wait
    ):
        yield event


async def ask_prompts(
    pool: Pool,
    expert: Expert,
    prompts: Sequence[Sequence[PromptMessage]],
    sampling: Sampling,
    *,
    n: int = 1,
    seed: int | None = None,
    stream: bool = False,
    max_wait: float | None = None,
) -> ChatEvents:
    """As `ask_expert`, for several prompts at once: the choices of the first one come first."""
    with entered(ConversationScope("", secrets.randbits(62) if seed is None else seed)):
        requests = [
            pool.request(expert, messages, sampling, stream=stream, max_wait=max_wait)
            for messages in prompts
            for _ in range(n)
        ]
    if not stream:
        completions = [_sure(outcome) for outcome in await pool.ask([(request, expert) for request in requests])]
        for index, completion in enumerate(completions):
            if completion.prompt:
                yield PromptEvent(completion.prompt, index)
            if completion.reasoning:
                yield ReasoningEvent(completion.reasoning, index)
            yield TextEvent(completion.text, completion.logprobs, index)
            yield FinishEvent(completion.finish_reason, index)
    else:
        ended: dict[int, Completion] = {}
        async for index, part in _merged(pool, requests, expert):
            if isinstance(part, Completion):
                ended[index] = part
                yield FinishEvent(part.finish_reason, index)
            else:
                if part.reasoning:
                    yield ReasoningEvent(part.reasoning, index)
                if part.text or part.logprobs:
                    yield TextEvent(part.text, part.logprobs, index)
        completions = [ended[index] for index in sorted(ended)]
    yield account(completions, expert, n)


def account(completions: Sequence[Completion], expert: Expert, n: int) -> UsageEvent:
    """`n` choices per prompt, which counts once."""
    usages = [one.usage for one in completions if one.usage is not None]
    return UsageEvent(
        sum(completion.prompt_tokens for completion in completions[::n]),
        sum(completion.completion_tokens for completion in completions),
        {"experts": [expert.name], "calls": len(completions), "cached_calls": sum(one.cached for one in completions)},
        cached_tokens=max((one.cached_tokens for one in usages), default=0),
        reasoning_tokens=sum(one.reasoning_tokens for one in usages),
        cost=total(paid(expert, one) for one in completions),
        experts=(expert.name,),
        stored=all(one.cached for one in completions),
    )


def _sure(outcome: Completion | Exception) -> Completion:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _one(pool: Pool, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
    """Deltas with text, then the completion; one that came whole, from the ledger, as one delta before."""
    started = False
    async for part in pool.stream(request, expert):
        if isinstance(part, Completion):
            if (part.text or part.reasoning) and not started:
                yield Delta(part.key, part.text, logprobs=part.logprobs, reasoning=part.reasoning)
            yield part
        elif part.text or part.logprobs or part.reasoning:
            started = True
            yield part


async def _merged(
    pool: Pool, requests: Sequence[Request], expert: Expert
) -> AsyncIterator[tuple[int, Delta | Completion]]:
    """Several streams as one, in the order in which things happen."""
    if len(requests) == 1:
        async for part in _one(pool, requests[0], expert):
            yield 0, part
        return
    arrived: asyncio.Queue[tuple[int, Delta | Completion | Exception | None]] = asyncio.Queue()

    async def follow(index: int, request: Request) -> None:
        try:
            async for part in _one(pool, request, expert):
                arrived.put_nowait((index, part))
            arrived.put_nowait((index, None))
        except Exception as error:
            arrived.put_nowait((index, error))

    following = [asyncio.create_task(follow(index, request)) for index, request in enumerate(requests)]
    left = len(requests)
    try:
        while left:
            index, news = await arrived.get()
            if isinstance(news, Exception):
                raise news
            if news is None:
                left -= 1
            else:
                yield index, news
    finally:
        for task in following:
            task.cancel()
