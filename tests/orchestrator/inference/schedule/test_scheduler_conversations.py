"""How often a worker loads, and how long requests wait, when real conversations ask (on a virtual clock)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from benchmarks import scheduler_simulation as simulation
from orchestrator.inference.schedule.scheduler import Policy

Start = Callable[[Any], None]


def discuss(
    experts: str, start: Start, *, lasts: Callable[[Any], float] | None = None, reaction: float = 0.0005
) -> Any:
    """The world after all conversations have ended on one worker."""
    world = simulation.world("collegium", list(experts), 1, seed=1, reaction=reaction)
    if lasts:
        world.lasts = lasts
    start(world)
    world.run()
    assert world.dispatcher.pending == 0
    return world


@pytest.mark.parametrize(("experts", "number"), [(1, 1), (2, 1), (8, 1), (2, 3), (3, 3), (5, 4)])
@pytest.mark.parametrize("reaction", [0.0, 0.0005, 0.004], ids=["fast", "usual", "slow callers"])
def test_rounds_need_the_promised_loads(experts: int, number: int, reaction: float) -> None:
    names = "abcdefgh"[:experts]
    world = discuss(names, simulation.rounds(100, list(names), number), reaction=reaction)
    assert world.outcome.requests == 100 * experts * number
    assert world.outcome.swaps <= 1 + number * (experts - 1)


def test_rounds_need_the_promised_loads_when_some_answers_take_long() -> None:
    world = discuss(
        "abc", simulation.rounds(60, list("abc"), 3), lasts=lambda request: 40.0 if request.key.endswith("7") else 0.5
    )
    assert world.outcome.swaps <= 1 + 3 * 2


def test_crossing_stages_need_no_more_than_three_loads() -> None:
    world = discuss("ab", simulation.staged(200, ["a", "a", "b"]))
    assert world.outcome.swaps <= 3


def test_a_short_pause_between_rounds_is_waited_for() -> None:
    """An embedding, a remote model: everyone pauses after a round, for less than a swap costs."""
    world = discuss("ab", simulation.rounds(50, ["a", "b"], 6, pause=0.3))
    assert world.outcome.swaps <= 1 + 6


def test_a_pause_longer_than_a_swap_costs_at_most_two_swaps_of_waiting() -> None:
    def start(world: Any) -> None:
        world.converse(iter_of([1e6]))
        simulation.staged(40, ["a", "b", "a", "b", "a", "b", "a", "b"])(world)

    patient = discuss("ab", start)
    alone = discuss("ab", simulation.staged(40, ["a", "b", "a", "b", "a", "b", "a", "b"]))
    assert patient.outcome.swaps == alone.outcome.swaps
    waited = [sum(world.outcome.waits) / world.outcome.requests for world in (patient, alone)]
    assert waited[0] < waited[1] + 2 * simulation.SWAP


def iter_of(wishes: list[Any]) -> Iterator[Any]:
    yield from wishes


def test_a_semaphore_does_not_stop_the_worker() -> None:
    """Two hundred registered conversations, of which eight at a time get on."""
    free = [8]

    def talk() -> Iterator[Any]:
        while not free[0]:
            yield 1.0
        free[0] -= 1
        yield ["a"]
        yield ["b"]
        free[0] += 1

    def start(world: Any) -> None:
        for _ in range(200):
            world.converse(talk())

    world = discuss("ab", start)
    assert world.outcome.requests == 400
    # Eight at a time mean 25 turns of two loads; each may wait one load's time at first, a sixteenth later.
    assert world.outcome.swaps <= 51
    assert world.outcome.seconds < 25 * 2 * (simulation.SWAP * 1.2 + 4.5)


def test_one_batch_per_expert_and_one_load_each() -> None:
    """abatch: everything is there before the first assignment, in whatever order."""
    world = simulation.batch("collegium", 2000, 20, 1, seed=3)
    assert world.outcome.swaps == world.outcome.experts == 20


def test_a_batch_on_many_workers_needs_few_more_loads_than_experts() -> None:
    world = simulation.batch("collegium", 20_000, 100, 16, seed=3)
    assert world.outcome.swaps <= 1.4 * world.outcome.experts
    # No worker idles while there is work: each ends its last residency near the end.
    least = world.outcome.generating / (16 * simulation.SLOTS)
    assert world.outcome.seconds < 1.5 * least


def test_requests_in_order_swap_many_times_more() -> None:
    ours = simulation.batch("collegium", 2000, 20, 2, seed=3).outcome
    for policy in ("fifo", "lru"):
        theirs = simulation.batch(policy, 2000, 20, 2, seed=3).outcome
        assert theirs.requests == ours.requests == 2000
        assert theirs.swaps > 20 * ours.swaps
        assert theirs.seconds > 3 * ours.seconds


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_the_promise_for_the_worst_wait(load: float) -> None:
    """A waiting queue is overtaken by another at most twice, and once more each time its age doubles; so that for
    arrivals slower than the worker, all loads and all work before it, the wait has a bound."""
    experts, slots, lasts = 12, 4, 0.4
    world = simulation.world("collegium", simulation.zipf(experts)[0], 1, seed=1)
    world.slots, world.lasts = slots, lambda request: lasts
    queues, weights = simulation.zipf(experts)
    total = sum(weights)
    for queue, weight in zip(queues, weights, strict=True):
        every = total / weight * lasts / slots / load
        for number in range(int(600 / every)):
            world.at((number + weight) * every, lambda queue: world.submit(queue, [world.ask(queue)]), queue)
    outcome = world.run()
    assert world.dispatcher.pending == 0
    for now, _, queue, since in world.loads:
        overtakers = [other for when, _, other, _ in world.loads if since < when < now and other != queue]
        for other in set(overtakers):
            assert overtakers.count(other) <= 2 + math.log2(max(1.0, (now - since) / simulation.SWAP))
    # A visit costs a swap, and up to `lasts` at its end while the slots run empty.
    visits = experts * (2 + math.log2(max(outcome.waits) / simulation.SWAP))
    assert max(outcome.waits) <= visits * (simulation.SWAP + 2 * lasts) / (1 - load)


def test_where_the_promise_ends_a_stream_that_never_stops_and_its_cure() -> None:
    """Ten requests of one expert are always running: another expert waits for the stream's end, or for the turn's."""

    def worst(turn: float | None) -> float:
        policy = Policy(swap_cost=simulation.SWAP, start_cost=simulation.SWAP, turn=turn)
        made = simulation.scheduler(["a", "b"], 1, policy=policy)
        world = simulation.World(
            made, simulation.names_of(1), slots=32, lasts=lambda request: 1.0, swap=lambda *_: simulation.SWAP
        )
        for number in range(2000):
            world.at(number * 0.1, lambda: world.submit("a", [world.ask("a")]))
        world.at(5.0, lambda: world.submit("b", [world.ask("b")]))
        return float(max(world.run().waits))

    assert worst(None) > 190
    assert worst(20.0) < 20


def test_equal_inputs_lead_to_equal_orders() -> None:
    first, second = (simulation.arrivals("collegium", 2000, 30, 4, 0.7, seed=5) for _ in range(2))
    assert first.loads == second.loads
    assert first.outcome.waits == second.outcome.waits


def test_the_recorded_calls_replay_to_the_same_orders() -> None:
    trace: list[Any] = []
    world = simulation.arrivals("collegium", 2000, 30, 4, 0.7, seed=5, trace=trace)
    _, orders = simulation.replay(trace, simulation.zipf(30)[0], 4)
    assert [(order.worker, order.queue) for order in orders if order.load] == [load[1:3] for load in world.loads]
    assert sum(len(order.requests) for order in orders) == 2000


def test_memory_grows_with_what_is_pending_and_by_less_than_a_quarter_kilobyte() -> None:
    per_request = [found for _, found in simulation.memory([5_000, 20_000, 40_000], 50)]
    assert max(per_request) < 256
    assert all(later < 1.5 * earlier for earlier, later in pairwise(per_request))
