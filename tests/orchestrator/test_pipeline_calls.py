"""From ordinary code to the coroutine behind it."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from orchestrator import pipeline_calls
from orchestrator.errors import BadInput
from orchestrator.pipeline_calls import wait

CALLER = contextvars.ContextVar("CALLER", default="nobody")


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


async def who() -> tuple[str, int]:
    return CALLER.get(), threading.get_ident()


async def wrong() -> None:
    raise BadInput("task: no")


def test_ordinary_code_waits_for_the_result() -> None:
    assert wait(seven()) == 7


async def test_where_a_loop_runs_the_work_has_a_loop_and_thread_of_its_own() -> None:
    """As in a notebook's cell."""
    assert wait(seven()) == 7
    CALLER.set("me")
    name, thread = wait(who())
    assert name == "me"
    assert thread != threading.get_ident()
    with pytest.raises(BadInput, match="task: no"):
        wait(wrong())


async def test_an_interrupt_cancels_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupted(self: object, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline_calls.concurrent.futures.Future, "result", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        wait(endless())
    assert cancelled.wait(10)
