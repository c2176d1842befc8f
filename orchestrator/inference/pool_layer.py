"""A pool that stands before another one: what a layer does not change is handed on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Delta, Request
from orchestrator.inference.schedule.conversation_scope import ConversationScope
from orchestrator.inference.schedule.pending import Outcome
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline


class PoolLayer:
    """Everything of `Pool` but `request`, `ask` and `stream`, which a layer is made for. What is behind it belongs to
    others, who close it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
