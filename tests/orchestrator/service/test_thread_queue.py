"""Blocking work takes one thread at most, in order, and not without bounds."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from orchestrator.errors import Overloaded
from orchestrator.service.thread_queue import ThreadQueue


async def test_one_piece_at_a_time_in_order_while_other_threads_are_free() -> None:
    one, go, ran = ThreadQueue(), threading.Event(), list[int]()

    def work(number: int) -> int:
        go.wait(10)
        ran.append(number)
        return number

    waiting = [asyncio.create_task(one.run(lambda number=number: work(number))) for number in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    go.set()
    assert await asyncio.gather(*waiting) == list(range(20)) == ran


async def test_who_comes_when_too_many_wait_is_refused_and_work_goes_on_when_nobody_waits_for_it() -> None:
    one, go, ran = ThreadQueue(max_waiting=1), threading.Event(), list[str]()

    def work(name: str) -> None:
        go.wait(10)
        time.sleep(0.01)
        ran.append(name)

    first = asyncio.create_task(one.run(lambda: work("first")))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(one.run(lambda: work("second")))
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await one.run(lambda: work("third"))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go.set()
    await second
    assert ran == ["first", "second"], "the second one began only when the first one's thread was free"


async def test_an_error_is_the_callers_and_the_next_one_goes_on() -> None:
    one = ThreadQueue()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await one.run(fail)
    assert await one.run(lambda: 1) == 1
