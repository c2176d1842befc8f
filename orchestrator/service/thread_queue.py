"""Work that blocks for long, one piece at a time: whoever waits holds no thread that others need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import Overloaded

MAX_WAITING = 64
"""Pieces that may wait."""
T = TypeVar("T")


class ThreadQueue:
    """Runs blocking work on one of the loop's threads, in the order in which it came."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        """`max_waiting`: pieces of work that may wait; whoever comes then is refused."""
        self._turn = asyncio.Lock()
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. Raises `Overloaded` where too many wait already, and what `work` raises."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._waiting} requests wait for one thread", 1.0)
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        working = asyncio.ensure_future(asyncio.to_thread(work))
        working.add_done_callback(lambda _: self._turn.release())  # a thread goes on though nobody waits for it
        return await asyncio.shield(working)
