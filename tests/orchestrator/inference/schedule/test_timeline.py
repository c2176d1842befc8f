"""What the workers did and when."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Sampling
from orchestrator.inference.schedule.messages import Stepped
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.timeline import Histogram, Timeline

EXPERT = Expert("a", "a", "s")


async def ask(pool: LocalPool, text: str) -> Any:
    request = pool.request(EXPERT, [("user", text)], Sampling())
    (outcome,) = await asyncio.wait_for(pool.ask([(request, EXPERT)]), 20)
    return outcome


async def test_waits_and_batches_are_counted(make_pool: Any) -> None:
    pool = make_pool()
    await asyncio.gather(*(ask(pool, f"one two three {n}") for n in range(8)))
    load = await pool.load()
    assert sum(load.waits["a"].counts) == 8
    assert load.waits["a"].total > 0
    assert load.batches["a"].total == 8 * 4  # four words each, a word a step


def test_stays_know_their_load_their_work_and_their_end() -> None:
    line = Timeline()
    line.load_starts("w", "a")
    line.load_ends("w", LoadReport("a", "start", 2.5))
    line.stepped("w", Stepped((), (Completion("k", "", "stop", 1, 7),), (), 0.5, 7))
    line.load_starts("w", "b")
    first, second = line.stays
    assert (first.expert, first.way, first.load_seconds, first.busy, first.tokens) == ("a", "start", 2.5, 0.5, 7)
    assert (first.requests, second.expert, second.load_end) == (1, "b", None)
    assert line.totals().loads == 1
    assert line.totals().load_seconds == 2.5
    line.lost("w", "killed")
    assert line.losses == [("w", "killed")] or line.losses[0][1] == "killed"
    assert line.progress().resident == {}


def test_an_expert_that_nobody_has_compared_is_noted_with_the_reason() -> None:
    line = Timeline()
    for name, why in (("a", "no such class"), ("b", "")):
        line.load_starts("w", name)
        line.load_ends("w", LoadReport(name, "start", 2.5, uncompared=why))
    assert line.uncompared == {"a": "no such class"}


def test_a_histogram_counts_a_value_in_the_first_bucket_that_holds_it() -> None:
    found = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 3.0):
        found.add(value, 2)
    kept = found.copy()
    found.add(9.0)
    assert (kept.counts, kept.total) == ([2, 2, 2], 11.0)
    assert found.counts == [2, 2, 3]
