"""A server's concurrency follows its rate limits, and a dead server is left alone."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.errors import Overloaded, PromptTooLong, RateLimited, UpstreamError, UpstreamRefused
from orchestrator.inference.engines.admission import COOLDOWN, TRIES, Admission


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def enter(admission: Admission, patience: float = 1.0) -> None:
    await asyncio.wait_for(admission.enter(patience, 0.01), 1)


async def proven(clock: Clock, concurrency: int) -> Admission:
    admission = Admission(concurrency, clock)
    await enter(admission)
    admission.leave(None)
    return admission


async def test_a_server_that_never_answered_gets_three_tries_and_then_a_rest(clock: Clock) -> None:
    admission = Admission(64, clock)
    for _ in range(TRIES):
        await enter(admission)
    with pytest.raises(Overloaded):  # a fourth has no place while three are under way
        await enter(admission)
    for _ in range(TRIES):
        admission.leave(UpstreamError("HTTP 500", upstream_status=500), final=False)
    with pytest.raises(UpstreamError, match="not asked for 30 s more after: HTTP 500") as refusal:
        await enter(admission)
    assert refusal.value.retry_after == refusal.value.cut_off == COOLDOWN
    clock.now += COOLDOWN + 1
    await enter(admission)  # one probe
    with pytest.raises(Overloaded):
        await enter(admission)
    admission.leave(UpstreamError("HTTP 500"))
    with pytest.raises(UpstreamError) as refusal:
        await enter(admission)
    assert refusal.value.retry_after == 2 * COOLDOWN
    clock.now += 2 * COOLDOWN + 1
    await enter(admission)
    admission.leave(None)
    for _ in range(64):
        await enter(admission)


async def test_a_server_that_has_answered_is_cut_off_after_three_failed_requests_in_a_row(clock: Clock) -> None:
    admission = await proven(clock, 8)
    for error in (UpstreamError("one"), UpstreamError("two"), None, UpstreamError("one"), UpstreamError("two")):
        await enter(admission)
        admission.leave(error)
    for _ in range(5):  # attempts that are followed by another one, and requests' own mistakes, do not count
        await enter(admission)
        admission.leave(UpstreamError("again"), final=False)
        await enter(admission)
        admission.leave(PromptTooLong("long"))
        await enter(admission)
        admission.leave(UpstreamRefused("seed", upstream_status=400))
    await enter(admission)
    last = UpstreamError("three")
    admission.leave(last)
    assert last.cut_off == COOLDOWN  # whoever gets this failure learns that it was the last straw
    with pytest.raises(UpstreamError, match="three"):
        await enter(admission)


async def test_each_limit_halves_the_concurrency_and_replies_raise_it_again(clock: Clock) -> None:
    admission = await proven(clock, 16)
    for _ in range(16):
        await enter(admission)
    for _ in range(16):  # sent together: one signal
        admission.leave(RateLimited("slow down", retry_after=2.0))
    assert admission.limit == 8
    with pytest.raises(RateLimited) as refusal:
        await enter(admission, patience=1.0)
    assert refusal.value.retry_after == 2.0
    assert refusal.value.cut_off is None  # paused by its rate limits, not cut off
    clock.now += 2.1
    for _ in range(8):
        await enter(admission)
    with pytest.raises(Overloaded):
        await enter(admission)
    for _ in range(8):
        admission.leave(None)
    assert 8.9 < admission.limit < 9
    for _ in range(400):
        await enter(admission)
        admission.leave(None)
    assert admission.limit == 16


async def test_a_pause_within_the_callers_patience_is_waited_for() -> None:
    admission = Admission(4)
    await enter(admission)
    admission.leave(None)
    await enter(admission)
    admission.leave(RateLimited("slow down", retry_after=0.05))
    began = asyncio.get_running_loop().time()
    await admission.enter(1.0, 1.0)
    assert asyncio.get_running_loop().time() - began >= 0.04


async def test_the_headers_that_say_none_left_pause_everybody(clock: Clock) -> None:
    admission = await proven(clock, 4)
    admission.remaining(0, 3.0)
    with pytest.raises(RateLimited):
        await enter(admission, patience=10)
    with pytest.raises(RateLimited) as refused:  # whoever would not wait so long hears so at once
        await admission.enter(1.0)
    assert refused.value.retry_after == pytest.approx(3.0)
    clock.now += 3.1
    await enter(admission)


async def test_callers_get_their_places_in_turn(clock: Clock) -> None:
    admission = await proven(clock, 1)
    await enter(admission)
    order: list[str] = []

    async def ask(name: str, caller: str) -> None:
        await admission.enter(1.0, caller=caller)
        order.append(name)

    tasks = [asyncio.create_task(ask(f"many {n}", "many")) for n in range(3)]
    tasks += [asyncio.create_task(ask(f"few {n}", "few")) for n in range(1)]
    await asyncio.sleep(0)
    for _ in tasks:
        admission.leave(None)
        await asyncio.sleep(0.001)
    assert order == ["many 0", "few 0", "many 1", "many 2"]


async def test_interactive_callers_and_batches_go_in_turn(clock: Clock) -> None:
    admission = await proven(clock, 1)
    await enter(admission)
    order: list[str] = []

    async def caller(name: str, interactive: bool) -> None:
        await admission.enter(1.0, interactive=interactive)
        order.append(name)
        admission.leave(None)

    batch = [asyncio.create_task(caller(f"batch {n}", False)) for n in range(3)]
    await asyncio.sleep(0)
    chats = [asyncio.create_task(caller(f"chat {n}", True)) for n in range(2)]
    await asyncio.sleep(0)
    admission.leave(None)
    await asyncio.gather(*batch, *chats)
    assert sorted(order[:4]) == ["batch 0", "batch 1", "chat 0", "chat 1"]


async def test_a_caller_that_leaves_a_silent_server_gives_its_place_to_nobody(clock: Clock) -> None:
    admission = Admission(64, clock)
    for _ in range(TRIES):
        await enter(admission)
    for _ in range(TRIES):
        admission.abandon()
    with pytest.raises(Overloaded):
        await enter(admission)
