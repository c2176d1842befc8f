"""Many jobs, so many at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from agents.window import run_window


@pytest.mark.parametrize(("jobs", "window", "most"), [(50, 7, 7), (3, 7, 3), (0, 7, 0)])
async def test_results_come_in_order_and_no_more_run_than_the_window_holds(jobs: int, window: int, most: int) -> None:
    running, seen = 0, 0

    async def job(number: int) -> int:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        for _ in range(number % 5 + 3):
            await asyncio.sleep(0)
        running -= 1
        return number

    assert await run_window([partial(job, number) for number in range(jobs)], window) == list(range(jobs))
    assert seen == most


async def test_the_first_error_ends_all_and_nothing_more_begins() -> None:
    begun = []

    async def job(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 3:
            raise KeyError(number)
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        await run_window([partial(job, number) for number in range(100)], 5)
    await asyncio.sleep(0)
    assert begun == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="at least one"):
        await run_window([], 0)
