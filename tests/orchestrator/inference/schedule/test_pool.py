"""The pool with scripted workers: everything is answered once, from batches, whatever happens to the workers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import Cancelled, ExpertError, ExpertFailed, Overloaded, PromptTooLong, RequestError
from orchestrator.inference.engines.scripted import Script, ScriptedEngine, ScriptedOptions, echo
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request, Sampling
from orchestrator.inference.schedule.host import InProcess
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.supervisor import WorkerSpec

MakePool = Callable[..., LocalPool]


def expert(name: str, script: str | None = None, shape: str = "s") -> Expert:
    return Expert(name, f"fingerprint of {name}", shape, script=script)


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[MakePool]:
    pools: list[LocalPool] = []

    def make(
        script: Script = echo, options: ScriptedOptions | None = None, workers: int = 1, ledger: str = "ledger"
    ) -> LocalPool:
        def host(name: str) -> InProcess:
            return InProcess(name, lambda: ScriptedEngine(options, script))

        specs = [WorkerSpec(f"w{i}", "local", lambda i=i: host(f"w{i}")) for i in range(workers)]  # type: ignore[misc]
        pool = LocalPool(specs, Ledger(tmp_path / f"{ledger}.sqlite"), kind_of=lambda _: "local")
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()
        pool.ledger.close()


def calls(pool: LocalPool, who: Expert, count: int, sampling: Sampling | None = None) -> list[tuple[Request, Expert]]:
    sampling = sampling or Sampling()
    return [(pool.request(who, [("user", f"{who.name} {number}")], sampling), who) for number in range(count)]


def texts(outcomes: list[Completion | Exception]) -> list[str]:
    assert all(isinstance(outcome, Completion) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]


async def test_answers_come_in_the_order_of_the_calls(make_pool: MakePool) -> None:
    pool = make_pool()
    assert texts(await pool.ask(calls(pool, expert("a"), 300))) == [f"a {number}" for number in range(300)]


async def test_plain_coroutines_become_batches_and_each_expert_is_loaded_once(make_pool: MakePool) -> None:
    pool = make_pool()
    experts = [expert(name) for name in "abcde"]

    async def one(who: Expert, number: int) -> str:
        await asyncio.sleep(0)
        return texts(await pool.ask(calls(pool, who, number + 1)[-1:]))[0]

    replies = await asyncio.gather(*(one(who, number) for number in range(40) for who in experts))
    assert len(set(replies)) == 200
    assert pool.timeline.progress().loads == 5


async def test_three_rounds_over_four_experts_need_at_most_ten_loads(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(load_seconds=0.2, start_seconds=0.2))
    experts = [expert(name) for name in "abcd"]

    async def discussion(question: int) -> None:
        said = str(question)
        for _ in range(3):
            asked = [(pool.request(who, [("user", f"{who.name} {said}")], Sampling()), who) for who in experts]
            said = " ".join(texts(list(await asyncio.gather(*(_one(pool, call) for call in asked)))))[-200:]

    async def _one(pool: LocalPool, call: tuple[Request, Expert]) -> Completion | Exception:
        return (await pool.ask([call]))[0]

    async def in_conversation(question: int) -> None:
        with pool.conversation(f"q{question}"):
            await discussion(question)

    await asyncio.gather(*(in_conversation(question) for question in range(50)))
    assert pool.timeline.progress().loads <= 1 + 3 * (len(experts) - 1)


async def test_identical_calls_are_generated_once_and_a_second_run_generates_nothing(make_pool: MakePool) -> None:
    asked: list[str] = []

    def script(messages: object, seed: int) -> str:
        asked.append(str(messages))
        return f"seed {seed}"

    pool = make_pool(script)
    same = calls(pool, expert("a"), 1) * 50
    assert len(set(texts(await pool.ask(same)))) == 1
    assert len(asked) == 1
    pool.close()
    again = make_pool(script)
    (completion,) = await again.ask(calls(again, expert("a"), 1))
    assert isinstance(completion, Completion)
    assert completion.cached
    assert len(asked) == 1
    assert not again._dispatch._supervisor.handles, "no worker is started for what the ledger knows"


async def test_draws_differ_within_a_conversation_and_repeat_in_the_next_run(make_pool: MakePool) -> None:
    def script(messages: object, seed: int) -> str:
        return str(seed)

    warm = Sampling(temperature=0.7)

    async def five(pool: LocalPool, question: str) -> list[str]:
        with pool.conversation(question):
            requests = [pool.request(expert("a"), [("user", "same")], warm) for _ in range(5)]
            return texts(await pool.ask([(request, expert("a")) for request in requests]))

    pool = make_pool(script)
    first = await five(pool, "q1/0")
    assert len(set(first)) == 5
    assert await five(pool, "q1/0") == first
    assert pool.timeline.progress().finished == 5
    cold = [pool.request(expert("a"), [("user", "same")], Sampling()) for _ in range(3)]
    assert len({request.key for request in cold}) == 1


async def test_another_seed_draws_anew_and_at_temperature_zero_does_not_matter(make_pool: MakePool) -> None:
    pool = make_pool()
    keys: dict[float, set[str]] = {0.0: set(), 0.7: set()}
    for seed in (0, 1):
        with pool.conversation("q1", seed):
            for temperature, found in keys.items():
                found.add(pool.request(expert("a"), [("user", "same")], Sampling(temperature=temperature)).key)
    assert [len(found) for found in keys.values()] == [1, 2]


def test_threads_and_coroutines_share_batches(make_pool: MakePool) -> None:
    pool = make_pool()
    with ThreadPoolExecutor(20) as threads:
        replies = list(threads.map(lambda n: pool.ask_blocking(calls(pool, expert("a"), n + 1)[-1:])[0], range(100)))
    assert texts(replies) == [f"a {number}" for number in range(100)]
    assert pool.timeline.progress().loads == 1


def test_blocking_on_the_schedulers_own_thread_is_refused(make_pool: MakePool) -> None:
    pool = make_pool()
    told: list[BaseException] = []
    done = threading.Event()

    def on_that_thread() -> None:
        try:
            pool.ask_blocking(calls(pool, expert("a"), 1))
        except RequestError as error:
            told.append(error)
        done.set()

    pool._loop.call_soon_threadsafe(on_that_thread)
    assert done.wait(5)
    assert "never return" in str(told[0])


async def test_a_failing_request_fails_alone(make_pool: MakePool) -> None:
    def script(messages: object, seed: int) -> str:
        if "a 3'" in str(messages):
            raise ValueError("no such word")
        return "fine"

    pool = make_pool(script)
    outcomes = await pool.ask(calls(pool, expert("a"), 10))
    assert isinstance(outcomes[3], ExpertFailed)
    assert outcomes[3].expert == "a"
    assert "no such word" in str(outcomes[3])
    assert texts(outcomes[:3] + outcomes[4:]) == ["fine"] * 9


async def test_a_prompt_that_is_too_long_says_so(make_pool: MakePool) -> None:
    pool = make_pool()
    request = pool.request(expert("a"), [("user", "word " * 5000)], Sampling())
    (outcome,) = await pool.ask([(request, expert("a"))])
    assert isinstance(outcome, PromptTooLong)


async def test_an_expert_that_cannot_be_loaded_fails_and_the_others_go_on(make_pool: MakePool) -> None:
    pool = make_pool()
    bad, good = expert("bad", "no.such.module:function"), expert("good")
    outcomes = await asyncio.wait_for(pool.ask(calls(pool, bad, 5) + calls(pool, good, 5)), 20)
    assert all(isinstance(outcome, ExpertError) and "no.such.module" in str(outcome) for outcome in outcomes[:5])
    assert len(texts(outcomes[5:])) == 5
    assert isinstance((await pool.ask(calls(pool, bad, 6)[-1:]))[0], ExpertError)


async def test_an_expert_that_breaks_its_engine_twice_fails_and_the_others_go_on(tmp_path: Path) -> None:
    class Fragile(ScriptedEngine):
        def load(self, who: Expert):  # type: ignore[no-untyped-def]
            if who.name == "bad":
                raise RuntimeError("out of memory")
            return super().load(who)

    ledger = Ledger(tmp_path / "l.sqlite")
    spec = WorkerSpec("w", "local", lambda: InProcess("w", Fragile))
    with LocalPool([spec], ledger, kind_of=lambda _: "local") as fragile:
        outcomes = await asyncio.wait_for(
            fragile.ask(calls(fragile, expert("bad"), 5) + calls(fragile, expert("good"), 5)), 20
        )
        assert all(isinstance(outcome, ExpertFailed) and "out of memory" in str(outcome) for outcome in outcomes[:5])
        assert len(texts(outcomes[5:])) == 5
    ledger.close()


async def test_another_shape_that_wants_a_fresh_process_gets_one(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(one_shape=True))
    outcomes = await pool.ask(calls(pool, expert("a"), 5) + calls(pool, expert("b", shape="t"), 5))
    assert len(texts(outcomes)) == 10
    assert not pool.timeline.losses


async def test_an_engine_that_cannot_start_is_told_to_everyone(tmp_path: Path) -> None:
    def broken() -> ScriptedEngine:
        raise RuntimeError("no such device")

    ledger = Ledger(tmp_path / "l.sqlite")
    with LocalPool(
        [WorkerSpec("w", "local", lambda: InProcess("w", broken))], ledger, kind_of=lambda _: "local"
    ) as pool:
        (outcome,) = await asyncio.wait_for(pool.ask(calls(pool, expert("a"), 1)), 10)
        assert isinstance(outcome, ExpertFailed)
        assert "no such device" in str(outcome)
    ledger.close()


async def test_streams_join_to_the_text(make_pool: MakePool) -> None:
    pool = make_pool()
    request = pool.request(expert("a"), [("user", "one two three")], Sampling(), stream=True)
    parts = [part async for part in pool.stream(request, expert("a"))]
    deltas = [part for part in parts if isinstance(part, Delta)]
    assert len(deltas) >= 3
    assert "".join(delta.text for delta in deltas) == "one two three"
    assert isinstance(parts[-1], Completion)
    replay = [part async for part in pool.stream(request, expert("a"))]
    assert [type(part) for part in replay] == [Completion]


async def test_a_cancelled_call_leaves_the_engine_and_the_rest_goes_on(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(step_seconds=0.01))
    long = pool.request(expert("a"), [("user", "word " * 900)], Sampling(max_tokens=900))
    task = asyncio.create_task(pool.ask([(long, expert("a"))]))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(texts(await asyncio.wait_for(pool.ask(calls(pool, expert("b"), 3)), 2))) == 3


async def test_a_hopeless_wait_is_refused_at_the_door(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(step_seconds=0.01, batch=1))
    await pool.ask(calls(pool, expert("a"), 20))
    chats = [
        (pool.request(expert("a"), [("user", f"{n}")], Sampling(), max_wait=600.0), expert("a")) for n in range(500)
    ]
    background = asyncio.create_task(pool.ask(chats))
    await asyncio.sleep(0.05)
    hurried = pool.request(expert("a"), [("user", "quick")], Sampling(), max_wait=0.1)
    (outcome,) = await pool.ask([(hurried, expert("a"))])
    assert isinstance(outcome, Overloaded)
    assert outcome.retry_after > 0.1
    background.cancel()


async def test_closing_tells_everyone_who_waits(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(step_seconds=0.05))
    waiting = asyncio.create_task(pool.ask(calls(pool, expert("a"), 200)))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(pool.close)
    outcomes = await asyncio.wait_for(waiting, 5)
    assert all(isinstance(outcome, Cancelled | Completion) for outcome in outcomes)
    assert any(isinstance(outcome, Cancelled) for outcome in outcomes)
    (late,) = await pool.ask(calls(pool, expert("a"), 1))
    assert isinstance(late, Cancelled | Completion)


async def test_two_workers_share_the_work(make_pool: MakePool) -> None:
    pool = make_pool(options=ScriptedOptions(step_seconds=0.005), workers=2)
    await pool.ask(calls(pool, expert("a"), 100) + calls(pool, expert("b"), 100))
    assert {stay.worker for stay in pool.timeline.stays} == {"w0", "w1"}
