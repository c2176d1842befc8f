"""A pool as one chat's experts see it: every prompt has the conversation before it, every reply is counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from orchestrator.errors import CollegiumError, UpstreamTimeout
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.conversation_scope import ConversationScope
from orchestrator.inference.schedule.pending import Outcome
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline


class ChatPool:
    """Stands before another pool. Methods that know nothing of a chat's history thus run within it, and what they ask
    is refused, withdrawn and paid for as a chat's own calls are."""

    def __init__(
        self,
        pool: Pool,
        question: str,
        history: Sequence[PromptMessage],
        max_wait: float | None,
        on_reply: Callable[[str, Completion], None],
        on_failure: Callable[[str, CollegiumError], None] = lambda expert, error: None,
        reply_seconds: float | None = None,
    ) -> None:
        """`question` is the chat's last turn: prompts that do not state it (a method's own fitting) are no part of
        the chat and left alone. `on_reply` hears every expert's every completion, `on_failure` its every failure.
        `reply_seconds`: a remote expert that takes longer has failed, so that the others need not wait for it."""
        self._pool = pool
        self._question = question
        self._history = tuple(history)
        self._max_wait = max_wait
        self._on_reply = on_reply
        self._on_failure = on_failure
        self._reply_seconds = reply_seconds

    @property
    def timeline(self) -> Timeline:
        """Of the pool behind it."""
        return self._pool.timeline

    def start(self) -> None:
        """Start the workers of the pool behind it."""
        self._pool.start()

    async def load(self) -> PoolLoad:
        """What the workers of the pool behind it are doing."""
        return await self._pool.load()

    def request(
        self,
        expert: Expert,
        messages: Sequence[PromptMessage],
        sampling: Sampling,
        *,
        stream: bool = False,
        max_wait: float | None = None,
    ) -> Request:
        """A request of this pool, as the pool behind it makes it."""
        if not any(self._question in text for _, text in messages):
            return self._pool.request(expert, messages, sampling, stream=stream, max_wait=max_wait)
        wait = self._max_wait if max_wait is None else max_wait
        return self._pool.request(expert, [*self._history, *messages], sampling, stream=stream, max_wait=wait)

    async def ask(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask`; every completion is counted."""
        outcomes = list(await asyncio.gather(*(self._ask_one(request, expert) for request, expert in calls)))
        for outcome, (_, expert) in zip(outcomes, calls, strict=True):
            if isinstance(outcome, Completion):
                self._on_reply(expert.name, outcome)
            elif isinstance(outcome, CollegiumError):
                self._on_failure(expert.name, outcome)
        return outcomes

    async def _ask_one(self, request: Request, expert: Expert) -> Outcome:
        try:
            async with asyncio.timeout(self._reply_seconds if expert.remote else None):
                (outcome,) = await self._pool.ask([(request, expert)])
                return outcome
        except TimeoutError:
            return UpstreamTimeout(f"expert {expert.name!r}: no reply within {self._reply_seconds:g} s")

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `Pool.stream`; the completion is counted."""
        async for part in self._pool.stream(request, expert):
            if isinstance(part, Completion):
                self._on_reply(expert.name, part)
            yield part

    def ask_blocking(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask_blocking`."""
        return self._pool.ask_blocking(calls)

    def stream_blocking(self, request: Request, expert: Expert) -> Iterator[Delta | Completion]:
        """As `Pool.stream_blocking`."""
        return self._pool.stream_blocking(request, expert)

    def refuse_own_thread(self) -> None:
        """As `Pool.refuse_own_thread`."""
        self._pool.refuse_own_thread()

    def conversation(self, question: str, seed: int = 0) -> contextlib.AbstractContextManager[ConversationScope]:
        """As `Pool.conversation`."""
        return self._pool.conversation(question, seed)

    def note_conversations(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        """As `Pool.note_conversations`."""
        self._pool.note_conversations(opened, closed)

    def close(self) -> None:
        """It belongs to others."""
