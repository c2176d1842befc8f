"""design.md's bounds on loads, through `ExpertChat`: E experts on one worker need E loads for one round and at most
1 + R(E - 1) for R rounds, whatever the conversations wait for between their calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.inference.chat import ExpertChat
from orchestrator.inference.engines.scripted import ScriptedOptions
from orchestrator.inference.schedule.pool import LocalPool

CONVERSATIONS = 60


@pytest.fixture
def pool(make_pool: Callable[..., LocalPool]) -> LocalPool:
    return make_pool(options=ScriptedOptions(load_seconds=0.15, start_seconds=0.15, step_seconds=0.001))


@pytest.fixture
def chat(pool: LocalPool, play: Any) -> Callable[[str], ExpertChat]:
    return lambda name: ExpertChat(pool=pool, expert=play.expert(name))


def most(experts: int, rounds: int) -> int:
    return 1 + rounds * (experts - 1)


async def converse(pool: LocalPool, one: Callable[[int], Coroutine[Any, Any, object]]) -> int:
    """All conversations at once; the loads they took."""

    async def conversation(number: int) -> None:
        with pool.conversation(f"q{number}"):
            await one(number)

    await asyncio.wait_for(asyncio.gather(*map(conversation, range(CONVERSATIONS))), 60)
    return pool.timeline.progress().loads


async def stages(chat: Callable[[str], ExpertChat], names: Sequence[str], number: int) -> None:
    said = f"question {number}"
    for name in names:
        said = f"{name} on " + (await chat(name).ainvoke(said)).content


async def test_one_round_loads_every_expert_once(pool, chat) -> None:
    async def ask_all(number: int) -> None:
        await asyncio.gather(*(chat(name).ainvoke(f"{number}") for name in "abcdef"))

    assert await converse(pool, ask_all) == 6


async def test_mixed_stages(pool, chat) -> None:
    """Half go a, a, b, the others b, b, a."""
    loads = await converse(pool, lambda number: stages(chat, "aab" if number % 2 else "bba", number))
    assert loads <= most(experts=2, rounds=3)


async def test_rounds_in_which_all_experts_speak(pool, chat) -> None:
    async def discuss(number: int) -> None:
        said = [f"question {number}"]
        for _ in range(3):
            prompt = " / ".join(said)[-300:]
            replies = await asyncio.gather(*(chat(name).ainvoke(f"{name}: {prompt}") for name in "abcd"))
            said = [reply.content for reply in replies]

    assert await converse(pool, discuss) <= most(experts=4, rounds=3)


async def test_abatch_in_every_round(pool, chat) -> None:
    async def sample(number: int) -> None:
        for turn in range(2):
            for name in "ab":
                await chat(name).abatch([f"{number} {turn} {draw}" for draw in range(5)])

    assert await converse(pool, sample) <= most(experts=2, rounds=4)


def test_sync_invokes_from_threads(pool, chat) -> None:
    together = threading.Barrier(24)

    def talk(number: int) -> None:
        with pool.conversation(f"q{number}"):
            together.wait(20)
            for turn, name in enumerate("aab" if number % 2 else "bba"):
                chat(name).invoke(f"{number} {turn}")

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(talk, range(24)))
    assert pool.timeline.progress().loads <= most(experts=2, rounds=3)


async def test_a_barrier_between_rounds(pool, chat) -> None:
    barrier = asyncio.Barrier(CONVERSATIONS)

    async def in_step(number: int) -> None:
        for turn in range(3):
            await asyncio.gather(*(chat(name).ainvoke(f"{number} {turn}") for name in "abc"))
            await barrier.wait()

    assert await converse(pool, in_step) <= most(experts=3, rounds=3)


async def test_a_semaphore_that_lets_few_talk_at_once(pool, chat) -> None:
    """Most conversations are open and silent: the worker must not wait for them for ever. Three times as many
    rounds, since a third of the conversations talk at a time."""
    few = asyncio.Semaphore(CONVERSATIONS // 3)

    async def in_turn(number: int) -> None:
        async with few:
            await stages(chat, "ab", number)

    assert await converse(pool, in_turn) <= most(experts=2, rounds=3 * 2)


async def test_conversations_that_wait_for_something_else_between_rounds(pool, chat) -> None:
    """A remote model of their own, an embedding: 60 ms, less than a load."""

    async def pause(number: int) -> None:
        for turn in range(3):
            await chat("a" if (turn + number) % 2 else "b").ainvoke(f"{number} {turn}")
            await asyncio.sleep(0.06)

    assert await converse(pool, pause) <= most(experts=2, rounds=3)


async def test_a_caller_that_is_busy_with_each_reply_is_waited_for(pool, chat) -> None:
    """Parsing takes the callers' loop 1 ms a reply: all answers to the first call come in before the worker leaves."""

    async def busy(number: int) -> None:
        for turn, name in enumerate("aab" if number % 2 else "bba"):
            await chat(name).ainvoke(f"{number} {turn}")
            deadline = asyncio.get_running_loop().time() + 0.001
            while asyncio.get_running_loop().time() < deadline:
                pass

    assert await converse(pool, busy) <= most(experts=2, rounds=3)
