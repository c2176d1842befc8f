"""Experts in trouble are asked last, and one caller at a time finds out whether they are well again."""

from __future__ import annotations

from orchestrator.chats.expert_health import MAX_REST, REST, ExpertHealth
from orchestrator.errors import PromptTooLong, UpstreamError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_two_failures_in_a_row_send_an_expert_to_the_end_until_a_probe_succeeds() -> None:
    clock = Clock()
    health = ExpertHealth(clock)
    names = ["a", "b", "c"]
    health.failed("a", UpstreamError("once"))
    assert health.order(names) == names
    health.well("a")
    health.failed("a", UpstreamError("once"))
    health.failed("a", PromptTooLong("the request's own fault"))
    assert health.order(names) == names
    health.failed("a", UpstreamError("twice"))
    assert health.order(names) == ["b", "c", "a"]
    clock.now += REST + 1
    assert health.order(names) == names  # this caller probes
    assert health.order(names) == ["b", "c", "a"]  # the others do not
    health.failed("a", UpstreamError("still"))
    clock.now += REST - 1
    assert health.order(names) == ["b", "c", "a"]
    health.well("a")
    assert health.order(names) == names


def test_where_all_are_in_trouble_the_most_troubled_comes_last() -> None:
    health = ExpertHealth(Clock())
    for name, times in (("a", 5), ("b", 2), ("c", 3)):
        for _ in range(times):
            health.slow(name)
    assert health.order(["a", "b", "c"]) == ["b", "c", "a"]


def test_rests_grow_and_have_an_end() -> None:
    clock = Clock()
    health = ExpertHealth(clock)
    waited = 0.0
    for _ in range(12):
        health.failed("a", UpstreamError("down"))
        start = clock.now
        while health.order(["a", "b"])[0] != "a":
            clock.now += 1
        waited = clock.now - start
    assert REST < waited <= MAX_REST + 1


def test_an_open_circuit_breaker_shows_until_the_expert_answers() -> None:
    clock = Clock()
    health = ExpertHealth(clock)
    health.count("a", UpstreamError("once"))
    assert health.cut_off() == {}
    error = UpstreamError("not asked")
    error.cut_off = 30.0
    health.count("a", error)
    clock.now += 10
    assert health.cut_off() == {"a": 20.0}
    clock.now += 25
    assert health.cut_off() == {"a": 0.0}  # a probe is due
    health.answered("a")
    assert health.cut_off() == {}
