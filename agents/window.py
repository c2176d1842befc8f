"""A window over many conversations: so many at once, the next one begins as one ends.

Each conversation in flight takes about 15 kB for every reply it waits for, most of it LangChain's; a million questions
at once would not fit into memory, and an engine is not faster for more than some thousands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

WINDOW = 4096


async def run_window(jobs: Sequence[Callable[[], Awaitable[T]]], window: int = WINDOW) -> list[T]:
    """Results of all jobs, in their order, with at most `window` of them begun and not ended.

    The first error is raised, and the other jobs are cancelled. Raises ValueError for a window of less than one.
    """
    if window < 1:
        raise ValueError(f"a window holds at least one job, not {window}")
    waiting = iter(range(len(jobs)))
    results: dict[int, T] = {}

    async def work() -> None:
        for place in waiting:
            results[place] = await jobs[place]()

    tasks = [asyncio.ensure_future(work()) for _ in range(min(window, len(jobs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [results[place] for place in range(len(jobs))]
