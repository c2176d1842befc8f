"""Batch submissions are bounded only by memory: what one pending request takes."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

from orchestrator.inference.schedule.pool import LocalPool

PENDING = 10_000


async def test_a_pending_request_takes_no_more_than_is_stated(make_pool: Callable[..., LocalPool], play: Any) -> None:
    let_go = threading.Event()

    def wait(messages: Any, seed: int) -> str:
        assert let_go.wait(60)
        return ""

    pool, who = make_pool(wait), play.expert("a")
    await asyncio.sleep(0.1)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    answers = asyncio.create_task(pool.ask(play.calls(pool, who, PENDING)))
    await asyncio.to_thread(play.until, lambda: pool.timeline.submitted == PENDING, 60)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{(after - before) / PENDING:.0f} bytes a pending request")
    assert (after - before) / PENDING < 1500
    let_go.set()
    answers.cancel()
