"""Who waits for which request: identical ones share one generation."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.inference.engines.scripted import ScriptedOptions
from orchestrator.inference.request import Delta


async def test_giving_up_a_request_that_another_waits_for_leaves_it_alone(make_pool, play) -> None:
    gate = play.Gate()
    pool, who = make_pool(gate), play.expert("a")
    call = play.call(pool, who, "same")
    first, second = (asyncio.create_task(pool.ask([call])) for _ in range(2))
    await asyncio.to_thread(play.until, lambda: gate.asked)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert play.texts(await second) == ["same"]
    assert gate.asked == ["same"]


async def test_a_reply_that_comes_after_its_request_was_given_up_and_asked_again_answers_it(make_pool, play) -> None:
    """The second request is still queued when the first one's reply, already on its way, arrives."""
    gate = play.Gate()
    pool, who = make_pool(gate, ScriptedOptions(batch=1, capacity=1)), play.expert("a")
    call = play.call(pool, who, "same")
    left = asyncio.create_task(pool.ask([call]))
    await asyncio.to_thread(play.until, lambda: gate.asked)
    left.cancel()
    back = asyncio.create_task(pool.ask([call]))
    await asyncio.sleep(0.05)
    gate.open.set()
    assert play.texts(await asyncio.wait_for(back, 10)) == ["same"]
    assert play.texts(await asyncio.wait_for(pool.ask(play.calls(pool, who, 20)), 10))[-1] == "a 19"
    assert pool.ledger.count() == 21


async def test_who_joins_a_stream_late_hears_it_from_the_beginning(make_pool, play) -> None:
    pool, who = make_pool(options=ScriptedOptions(step_seconds=0.02)), play.expert("a")
    request, _ = play.call(pool, who, "one two three four five six", stream=True)
    early = pool.stream(request, who)
    assert isinstance(await anext(early), Delta)
    assert isinstance(await anext(early), Delta)
    late = [part async for part in pool.stream(request, who)]
    assert "".join(part.text for part in late if isinstance(part, Delta)) == "one two three four five six"
    assert [part async for part in early][-1] == late[-1]
