"""Callers on event loops that come and go."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orchestrator.inference.request import Completion


def test_one_pool_serves_one_event_loop_after_another(make_pool, play) -> None:
    gate = play.Gate(closed=False)
    pool, experts = make_pool(gate), [play.expert(name) for name in "ab"]
    for turn in range(4):

        async def ask(turn: int = turn) -> list[Completion | Exception]:
            calls = [play.call(pool, who, f"{who.name} {turn} {n}") for n in range(20) for who in experts]
            return await pool.ask(calls)

        assert len(play.texts(asyncio.run(ask()))) == 40
    assert pool.timeline.progress().loads <= 5
    assert not pool._dispatch._callers.outstanding


def test_a_loop_that_is_closed_with_calls_outstanding_does_not_disturb_the_others(make_pool, play) -> None:
    gate = play.Gate()
    pool, who = make_pool(gate), play.expert("a")
    loop = asyncio.new_event_loop()
    task = loop.create_task(pool.ask(play.calls(pool, who, 3)))
    loop.run_until_complete(asyncio.sleep(0.05))
    stopped = threading.Thread(target=gate.open.set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    stopped.start()
    outcomes = asyncio.run(asyncio.wait_for(pool.ask(play.calls(pool, who, 6)), 10))
    assert len(play.texts(outcomes)) == 6
    stopped.join()
