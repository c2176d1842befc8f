"""Races and faults of the pool that can be brought about at will, with scripted workers in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future

import pytest

from orchestrator.errors import Cancelled, CollegiumError, ExpertError, ExpertFailed, StorageError, StreamBroken
from orchestrator.inference.engines.engine import FreshProcess, LoadReport
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Delta, Sampling
from orchestrator.inference.schedule.host import InProcess
from orchestrator.inference.schedule.ledger import Ledger, LedgerEntry
from orchestrator.inference.schedule.messages import Broken
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.scheduler import Policy
from orchestrator.inference.schedule.supervisor import WorkerSpec


class SlowLedger:
    """Keeps a pool's completions back until told to store them, or to fail."""

    def __init__(self, pool: LocalPool) -> None:
        self._put = pool.ledger.put
        self.held: list[tuple[list[LedgerEntry], Future[None]]] = []
        pool.ledger.put = self.put  # type: ignore[method-assign]

    def put(self, entries: Iterable[LedgerEntry]) -> Future[None]:
        self.held.append((list(entries), Future()))
        return self.held[-1][1]

    def release(self) -> None:
        held, self.held = self.held, []
        for entries, done in held:
            self._put(entries).result(10)
            done.set_result({})

    def fail(self) -> None:
        held, self.held = self.held, []
        for _, done in held:
            done.set_exception(StorageError("no space left"))


# Giving up ----------------------------------------------------------------------------------------------------


async def test_giving_up_while_the_reply_is_stored_does_not_generate_it_again(make_pool, play) -> None:
    gate = play.Gate(closed=False)
    pool, who = make_pool(gate), play.expert("a")
    ledger = SlowLedger(pool)
    call = play.call(pool, who, "same")
    left = asyncio.create_task(pool.ask([call]))
    await asyncio.to_thread(play.until, lambda: ledger.held)
    left.cancel()
    back = asyncio.create_task(pool.ask([call]))
    await asyncio.sleep(0.05)
    ledger.release()
    assert play.texts(await asyncio.wait_for(back, 10)) == ["same"]
    assert gate.asked == ["same"]


async def test_a_stream_whose_reader_leaves_frees_the_engine(make_pool, play) -> None:
    pool, who = make_pool(options=ScriptedOptions(step_seconds=0.01, batch=1)), play.expert("a")
    request, _ = play.call(pool, who, "word " * 500, stream=True, sampling=Sampling(max_tokens=500))
    stream = pool.stream(request, who)
    assert isinstance(await anext(stream), Delta)
    await stream.aclose()
    began = time.monotonic()
    await pool.ask(play.calls(pool, who, 1))
    assert time.monotonic() - began < 2


# Streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["one two three four", "one or two"])
async def test_a_stream_goes_on_after_its_worker_is_lost_or_says_why_it_cannot(make_pool, play, again: str) -> None:
    """The worker breaks after two words; the next life says `again`."""
    lives: list[ScriptedEngine] = []

    class Mortal(ScriptedEngine):
        def __init__(self) -> None:
            first = not lives
            super().__init__(ScriptedOptions(), lambda messages, seed: "one two three four" if first else again)
            self.steps = 0
            lives.append(self)

        def step(self) -> list[Delta]:
            self.steps += 1
            if self is lives[0] and self.steps == 3:
                raise RuntimeError("out of memory")
            return super().step()

    pool, who = make_pool(make_engine=Mortal), play.expert("a")
    request, _ = play.call(pool, who, "go", stream=True)
    heard: list[str] = []

    async def listen() -> None:
        async for part in pool.stream(request, who):
            if isinstance(part, Delta):
                heard.append(part.text)

    if again.startswith("one two"):
        await asyncio.wait_for(listen(), 10)
        assert heard == ["one", " two", " three four"]
    else:
        with pytest.raises(StreamBroken, match="differs from that part"):
            await asyncio.wait_for(listen(), 10)
        assert play.stored(pool) == ["one or two"]


# Losses -------------------------------------------------------------------------------------------------------


async def test_a_worker_lost_while_its_replies_are_stored_does_not_repeat_them(make_pool, play) -> None:
    gate = play.Gate(closed=False)
    broken = threading.Event()

    class Fragile(ScriptedEngine):
        def __init__(self) -> None:
            super().__init__(None, gate)

        def load(self, expert: Expert) -> LoadReport:
            if expert.name == "b" and not broken.is_set():
                broken.set()
                raise RuntimeError("out of memory")
            return super().load(expert)

    pool, a, b = make_pool(make_engine=Fragile), play.expert("a"), play.expert("b")
    ledger = SlowLedger(pool)
    first = asyncio.create_task(pool.ask(play.calls(pool, a, 5)))
    await asyncio.to_thread(play.until, lambda: len(gate.asked) == 5 and ledger.held)
    second = asyncio.create_task(pool.ask(play.calls(pool, b, 5)))
    await asyncio.to_thread(play.until, broken.is_set)
    await asyncio.to_thread(play.until, lambda: len(gate.asked) == 10)
    await asyncio.sleep(0.1)
    ledger.release()
    assert play.texts(await first) == [f"a {number}" for number in range(5)]
    await asyncio.to_thread(play.until, lambda: ledger.held or second.done())
    ledger.release()
    assert play.texts(await second) == [f"b {number}" for number in range(5)]
    assert len(gate.asked) == len(set(gate.asked)) == 10


async def test_an_expert_is_not_blamed_for_a_worker_that_is_lost_while_idle(make_pool, play) -> None:
    workers: list[InProcess] = []

    def host(name: str) -> InProcess:
        workers.append(InProcess(name, ScriptedEngine))
        return workers[-1]

    pool, who = make_pool(make_host=host), play.expert("a")
    for number in range(4):
        assert play.texts(await asyncio.wait_for(pool.ask([play.call(pool, who, f"{number}")]), 10))
        if number < 3:
            workers[-1]._outbox.emit([Broken("killed by somebody")])
            await asyncio.to_thread(play.until, lambda: len(workers) == len(pool.timeline.losses) + 1)
    assert len(pool.timeline.losses) == 3


async def test_workers_that_are_lost_together_count_as_one_loss(make_pool, play) -> None:
    gate = play.Gate()
    hosts: dict[str, list[InProcess]] = {"w0": [], "w1": [], "w2": []}

    def make(name: str) -> InProcess:
        hosts[name].append(InProcess(name, lambda: ScriptedEngine(ScriptedOptions(batch=2, capacity=2), gate)))
        return hosts[name][-1]

    pool = make_pool(make_host=make, workers=3, policy=Policy(start_cost=0.01))
    who = play.expert("a")
    answers = asyncio.create_task(pool.ask(play.calls(pool, who, 100)))
    await asyncio.to_thread(play.until, lambda: len(pool.timeline.stays) == 3)
    for made in hosts.values():
        made[-1]._outbox.emit([Broken("the node is gone")])
    gate.open.set()
    assert len(play.texts(await asyncio.wait_for(answers, 20))) == 100
    assert len(pool.timeline.losses) == 3


async def test_an_expert_that_wants_a_fresh_process_even_in_a_fresh_one_fails(make_pool, play) -> None:
    class Choosy(ScriptedEngine):
        def load(self, expert: Expert) -> LoadReport:
            if expert.name == "bad":
                raise FreshProcess("never content")
            return super().load(expert)

    pool = make_pool(make_engine=Choosy)
    calls = play.calls(pool, play.expert("bad"), 3) + play.calls(pool, play.expert("good"), 3)
    outcomes = await asyncio.wait_for(pool.ask(calls), 20)
    assert all(isinstance(outcome, ExpertFailed) and "never content" in str(outcome) for outcome in outcomes[:3])
    assert len(play.texts(outcomes[3:])) == 3


async def test_a_bad_adapter_fails_alone_though_it_shares_its_queue(make_pool, play) -> None:
    pool = make_pool(options=ScriptedOptions(side_by_side=True), queue_of=lambda expert: expert.shape)
    bad, good = play.expert("bad", "no.such:script"), play.expert("good")
    outcomes = await asyncio.wait_for(pool.ask(play.calls(pool, bad, 3) + play.calls(pool, good, 3)), 20)
    assert all(isinstance(outcome, ExpertError) and "no.such" in str(outcome) for outcome in outcomes[:3])
    assert len(play.texts(outcomes[3:])) == 3
    later = await asyncio.wait_for(pool.ask([*play.calls(pool, bad, 4)[3:], *play.calls(pool, good, 4)[3:]]), 20)
    assert isinstance(later[0], ExpertError)
    assert play.texts(later[1:]) == ["good 3"]


async def test_a_kind_of_worker_that_cannot_start_does_not_stop_the_others(tmp_path, pools, play) -> None:
    def broken() -> ScriptedEngine:
        raise SystemExit("no such device")

    specs = [
        WorkerSpec("w0", "a", lambda: InProcess("w0", broken)),
        WorkerSpec("w1", "b", lambda: InProcess("w1", ScriptedEngine)),
    ]
    pools.append(LocalPool(specs, Ledger(tmp_path / "l.sqlite"), kind_of=lambda expert: expert.name))
    calls = play.calls(pools[0], play.expert("a"), 3) + play.calls(pools[0], play.expert("b"), 3)
    outcomes = await asyncio.wait_for(pools[0].ask(calls), 10)
    assert all(isinstance(outcome, ExpertFailed) and "no such device" in str(outcome) for outcome in outcomes[:3])
    assert len(play.texts(outcomes[3:])) == 3
    assert pools[0].timeline.losses[0][0] == "w0"


# The ledger fails, the pool closes ------------------------------------------------------------------------------


async def test_when_the_ledger_fails_everyone_hears_so_and_the_workers_stop_generating(make_pool, play) -> None:
    gate = play.Gate(closed=False)
    pool, who = make_pool(gate, ScriptedOptions(batch=1, capacity=4, step_seconds=0.01)), play.expert("a")
    ledger = SlowLedger(pool)
    answers = asyncio.create_task(pool.ask(play.calls(pool, who, 200)))
    await asyncio.to_thread(play.until, lambda: ledger.held)
    ledger.fail()
    outcomes = await asyncio.wait_for(answers, 10)
    assert {type(outcome) for outcome in outcomes} == {StorageError}
    assert isinstance((await pool.ask(play.calls(pool, who, 1)))[0], StorageError)
    asked = len(gate.asked)
    await asyncio.sleep(0.2)
    assert len(gate.asked) <= asked + 1 < 50


async def test_closing_while_an_expert_is_loading_tells_everyone(make_pool, play) -> None:
    pool = make_pool(options=ScriptedOptions(start_seconds=0.5))
    answers = asyncio.create_task(pool.ask(play.calls(pool, play.expert("a"), 5)))
    await asyncio.to_thread(play.until, lambda: pool.timeline.stays)
    await asyncio.to_thread(pool.close)
    assert {type(outcome) for outcome in await asyncio.wait_for(answers, 5)} == {Cancelled}


async def test_closing_while_replies_are_stored_tells_everyone_and_stores_them(make_pool, play) -> None:
    pool = make_pool()
    ledger = SlowLedger(pool)
    answers = asyncio.create_task(pool.ask(play.calls(pool, play.expert("a"), 5)))
    await asyncio.to_thread(play.until, lambda: sum(len(entries) for entries, _ in ledger.held) == 5)
    await asyncio.to_thread(pool.close)
    assert {type(outcome) for outcome in await asyncio.wait_for(answers, 5)} == {Cancelled}
    ledger.release()  # the pool's loop is closed by now
    assert pool.ledger.count() == 5


async def test_a_bug_on_the_scheduler_thread_is_told_instead_of_hanging(make_pool, play) -> None:
    pool = make_pool(queue_of=lambda expert: expert.nonsense)
    (outcome,) = await asyncio.wait_for(pool.ask(play.calls(pool, play.expert("a"), 1)), 10)
    assert isinstance(outcome, CollegiumError)
    assert "nonsense" in str(outcome)


# Callers --------------------------------------------------------------------------------------------------------
