"""Whose calls a task's calls are."""

from __future__ import annotations

import asyncio

from orchestrator.inference.caller import NOBODY, caller


async def test_each_task_works_for_its_own_caller() -> None:
    async def of(name: str) -> tuple[str, str]:
        caller.set(name)
        await asyncio.sleep(0)
        return caller.get(), await asyncio.to_thread(caller.get)

    assert await asyncio.gather(of("a"), of("b")) == [("a", "a"), ("b", "b")]
    assert caller.get() == NOBODY
