"""Workers in Ray actors do what workers in this process do, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from replies import asked

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
from orchestrator.inference.request import Completion, Delta
from orchestrator.inference.schedule.host import OnRay, WorkerLost


async def test_two_workers_answer_everything_once_from_few_loads(make_ray_pool, play, tmp_path: Path) -> None:
    pool, log = make_ray_pool(workers=2), tmp_path / "log"
    experts = [play.expert(name, "replies:slow") for name in "abcd"]
    calls = [call for who in experts for call in play.calls(pool, who, 100, log)]
    assert play.texts(await pool.ask(calls)) == [f"{who.name} {n}" for who in experts for n in range(100)]
    said = asked(log)
    assert len({call.pid for call in said}) == 2
    assert os.getpid() not in {call.pid for call in said}
    assert max(Counter(call.prompt for call in said).values()) == 1
    assert pool.timeline.progress().loads <= 5  # each expert once, and one helped by both


async def test_one_worker_is_fast_streams_and_forgets_who_left(make_ray_pool, play) -> None:
    pool, who = make_ray_pool(ScriptedOptions(batch=256, capacity=512, step_seconds=0.01)), play.expert("a")
    await pool.ask(play.calls(pool, who, 1))  # now it has started

    began = time.perf_counter()
    await pool.ask(play.calls(pool, who, 2001)[1:])
    assert 2000 / (time.perf_counter() - began) > 500  # a second; no engine here gets near

    request, _ = play.call(pool, who, "one two three four", stream=True)
    came = [(time.perf_counter(), part) async for part in pool.stream(request, who)]
    words = [(at, part.text) for at, part in came if isinstance(part, Delta)]
    assert [word for _, word in words] == ["one", " two", " three", " four"]
    assert words[-1][0] - words[0][0] > 0.02  # not all at the end
    assert isinstance(came[-1][1], Completion)

    waiting = asyncio.create_task(pool.ask([play.call(pool, who, "word " * 1000)]))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    began = time.perf_counter()
    other = play.expert("b")
    await pool.ask(play.calls(pool, other, 1))  # a swap waits until the engine is empty
    assert time.perf_counter() - began < 4  # 1000 words would take 10 s


async def test_closing_ends_the_workers_processes(make_ray_pool, play, tmp_path: Path) -> None:
    pool, log = make_ray_pool(workers=2), tmp_path / "log"
    await pool.ask(play.calls(pool, play.expert("a", "replies:slow"), 100, log))
    pids = {call.pid for call in asked(log)}
    assert pids
    await asyncio.to_thread(pool.close)
    await asyncio.to_thread(play.until, lambda: not any(map(psutil.pid_exists, pids)))


async def test_closing_while_a_dead_worker_is_cleared_away_ends_the_pool(ray_cluster: object) -> None:
    # What the actor says and the cancelling come in the same turn of the loop, as they may when a worker dies last.
    host, said = OnRay("w", ScriptedEngine, needs={"CPU": 0.1}, files={}), asyncio.get_running_loop().create_future()
    await host.where()
    host._answered = True
    host._call = lambda *_: said  # type: ignore[method-assign]
    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0)
    said.set_exception(WorkerLost("killed"))
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_a_worker_killed_in_mid_batch_loses_nothing_and_answers_nothing_twice(
    make_ray_pool, play, tmp_path: Path
) -> None:
    pool, log = make_ray_pool(ScriptedOptions(step_seconds=0.01)), tmp_path / "log"
    who = play.expert("a", "replies:slow")
    answers = asyncio.create_task(pool.ask(play.calls(pool, who, 300, log)))
    await asyncio.to_thread(play.until, lambda: len(asked(log)) > 100)
    stored = set(play.stored(pool))
    before = len(asked(log))
    os.kill(asked(log)[-1].pid, signal.SIGKILL)
    assert play.texts(await asyncio.wait_for(answers, 30)) == [f"a {number}" for number in range(300)]
    assert len(pool.timeline.losses) == 1
    assert stored
    assert not stored & {call.prompt for call in asked(log)[before:] if call.pid != asked(log)[0].pid}
    assert pool.ledger.count() == 300
    again = Counter(call.prompt for call in asked(log))
    assert max(again.values()) <= 2
    assert sum(count == 2 for count in again.values()) <= ScriptedOptions().batch


async def test_an_expert_that_kills_its_worker_twice_fails_and_the_others_go_on(
    make_ray_pool, play, tmp_path: Path
) -> None:
    pool, log = make_ray_pool(), tmp_path / "log"
    bad, good = play.expert("bad", "replies:deadly"), play.expert("good", "replies:noted")
    outcomes = await asyncio.wait_for(pool.ask(play.calls(pool, bad, 5, log) + play.calls(pool, good, 50, log)), 40)
    assert play.texts(outcomes[5:]) == [f"good {number}" for number in range(50)]
    for outcome in outcomes[:5]:
        assert isinstance(outcome, ExpertFailed)
        assert "'bad' ended its worker 2 times in a row" in str(outcome)
    assert len({call.pid for call in asked(log) if call.prompt.startswith("bad")}) == 2


async def test_a_worker_that_dies_once_is_forgiven(make_ray_pool, play, tmp_path: Path) -> None:
    pool, log = make_ray_pool(), tmp_path / "log"
    who = play.expert("a", "replies:deadly_once")
    calls = [*play.calls(pool, who, 20, log), play.call(pool, who, "die", log)]
    assert play.texts(await asyncio.wait_for(pool.ask(calls), 30))[-1] == "die"
    assert [call.prompt for call in asked(log)].count("die") == 2


async def test_a_shape_that_wants_a_process_of_its_own_gets_one_and_nobody_is_blamed(
    make_ray_pool, play, tmp_path: Path
) -> None:
    pool, log = make_ray_pool(ScriptedOptions(one_shape=True)), tmp_path / "log"
    shapes = [play.expert(name, "replies:noted", shape=name) for name in "abc"]
    for who in shapes:
        play.texts(await asyncio.wait_for(pool.ask(play.calls(pool, who, 5, log)), 30))
    assert len({call.pid for call in asked(log)}) == 3
    assert pool.timeline.losses == []
