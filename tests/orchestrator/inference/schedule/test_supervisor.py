"""What a service bears: experts and workers that were given up are tried again, and what is broken may be mended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.engines.scripted import ScriptedEngine
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Sampling
from orchestrator.inference.schedule.messages import Abort, Switch, WorkerOrder
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.supervisor import RetryLimits, Supervisor, WorkerHandle, WorkerSpec

EXPERT = Expert("a", "a", "s")


class Breaking:
    """Engines that break: while they start, or whenever they load, so many times."""

    def __init__(self, starts: int = 0, loads: int = 0) -> None:
        self.starts, self.loads = starts, loads

    def __call__(self) -> ScriptedEngine:
        if self.starts:
            self.starts -= 1
            raise RuntimeError("no such device")
        outer = self

        class Engine(ScriptedEngine):
            def load(self, expert: Expert) -> LoadReport:
                if outer.loads:
                    outer.loads -= 1
                    raise RuntimeError("out of memory")
                return super().load(expert)

        return Engine()


async def ask(pool: LocalPool, text: str) -> Any:
    request = pool.request(EXPERT, [("user", text)], Sampling())
    (outcome,) = await asyncio.wait_for(pool.ask([(request, EXPERT)]), 20)
    return outcome


async def test_an_expert_may_end_as_many_workers_as_is_said(make_pool: Any) -> None:
    pool = make_pool(make_engine=Breaking(loads=4), retry_limits=RetryLimits(max_crashes=5))
    assert isinstance(await ask(pool, "x"), Completion)
    assert len(pool.timeline.losses) == 4


async def test_an_expert_that_was_given_up_is_tried_again(make_pool: Any) -> None:
    breaking = Breaking(loads=3)
    pool = make_pool(make_engine=breaking, retry_limits=RetryLimits(retry_seconds=0.5))
    assert isinstance(await ask(pool, "x"), ExpertFailed)
    assert isinstance(await ask(pool, "x"), ExpertFailed)
    assert breaking.loads == 1  # the second was refused at once
    await asyncio.sleep(0.5)
    assert isinstance(await ask(pool, "x"), ExpertFailed)  # still broken: once is enough now
    await asyncio.sleep(0.5)
    assert isinstance(await ask(pool, "x"), Completion)


async def test_a_post_that_was_given_up_is_manned_again(make_pool: Any) -> None:
    pool = make_pool(make_engine=Breaking(starts=2), retry_limits=RetryLimits(retry_seconds=0.2))
    outcome = await ask(pool, "x")
    assert isinstance(outcome, ExpertFailed)
    assert "no such device" in str(outcome)
    for _ in range(100):
        await asyncio.sleep(0.05)
        if isinstance(outcome := await ask(pool, "x"), Completion):
            break
    assert isinstance(outcome, Completion)
    assert len((await pool.load()).held) == 1


async def test_orders_reach_a_slow_worker_one_message_at_a_time_and_in_order(play) -> None:
    """Ray keeps no order among the calls of an asyncio actor: big arguments are overtaken by small ones."""
    received: list[list[WorkerOrder]] = []
    free = asyncio.Event()

    class Slow:
        name = "w"

        async def send(self, orders: list[WorkerOrder]) -> None:
            received.append(orders)
            await free.wait()

        async def stop(self) -> None: ...

    spec = WorkerSpec("w", "local", lambda: pytest.fail("not needed"))
    supervisor = Supervisor([], lambda *_: None, lambda *_: None, lambda *_: None)
    supervisor.handles["w"] = WorkerHandle(spec, Slow())  # type: ignore[arg-type]
    orders: list[WorkerOrder] = [Switch(play.expert("a")), *(Abort((str(number),)) for number in range(5))]
    for order in orders:
        supervisor.send("w", [order])
        await asyncio.sleep(0)
    assert received == [orders[:1]]
    free.set()
    await asyncio.sleep(0.01)
    assert received == [orders[:1], orders[1:]]
    await supervisor.stop()
