"""A loop on a thread of its own serves threads and loops, and ends what nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from orchestrator.chats.loop_thread import LoopThread


async def where() -> int:
    return threading.get_ident()


async def test_everything_runs_on_thread_queue() -> None:
    loop = LoopThread("test")
    here = threading.get_ident()
    found = {loop.run(where()), await loop.arun(where()), await asyncio.to_thread(lambda: loop.run(where()))}
    assert len(found) == 1
    assert here not in found
    loop.close()
    loop.close()
    assert loop.run(where()) != here  # it starts again
    loop.close()


async def test_leaving_early_ends_the_source_and_errors_pass() -> None:
    loop, ended = LoopThread("test"), threading.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                yield number
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    for number in loop.iterate(endless()):
        if number == 3:
            break
    assert await asyncio.to_thread(ended.wait, 10)
    ended.clear()
    async for number in loop.aiterate(endless()):
        if number == 3:
            break
    assert await asyncio.to_thread(ended.wait, 10)
    with pytest.raises(ValueError, match="broken"):
        list(loop.iterate(broken()))
    with pytest.raises(ValueError, match="broken"):
        _ = [number async for number in loop.aiterate(broken())]
    task = asyncio.create_task(loop.arun(asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    loop.close()
