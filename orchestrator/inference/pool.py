"""What a pool of workers is to whoever asks it: one protocol, three implementations.

`schedule.pool.LocalPool` has its scheduler in this process, `schedule.remote_pool.RemotePool` in a Ray actor, and the
service's `ChatPool` stands before another pool for the length of one chat.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol, runtime_checkable

from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.conversation_scope import ConversationScope
from orchestrator.inference.schedule.pending import Outcome
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline


@runtime_checkable
class Pool(Protocol):
    """Answers requests to experts, from any thread or event loop."""

    @property
    def timeline(self) -> Timeline:
        """Which worker held which expert when."""
        ...

    def start(self) -> None:
        """Start the workers now instead of at the first request. Idempotent."""
        ...

    async def load(self) -> PoolLoad:
        """What the workers hold and what waits for them, now."""
        ...

    def request(
        self,
        expert: Expert,
        messages: Sequence[PromptMessage],
        sampling: Sampling,
        *,
        stream: bool = False,
        max_wait: float | None = None,
    ) -> Request:
        """A request with its draw index, counted in the current conversation."""
        ...

    async def ask(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """Completions in the order of `calls`; a call that failed yields its error. Cancelling withdraws them."""
        ...

    def ask_blocking(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `ask`, from a thread. Raises `RequestError` where it would wait for ever."""
        ...

    def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """Deltas as the engine makes them, then the completion. Leaving early withdraws the request."""
        ...

    def stream_blocking(self, request: Request, expert: Expert) -> Iterator[Delta | Completion]:
        """As `stream`, from a thread."""
        ...

    def refuse_own_thread(self) -> None:
        """Raises `RequestError` on the scheduler's own thread, where waiting would have no end."""
        ...

    def conversation(self, question: str, seed: int = 0) -> contextlib.AbstractContextManager[ConversationScope]:
        """Calls made inside belong to one conversation, which has its own draws."""
        ...

    def note_conversations(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        """Conversations that others hold elsewhere: see `conversation`."""
        ...

    def close(self) -> None:
        """Give back what this pool itself has started. Idempotent."""
        ...
