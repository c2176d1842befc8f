"""What replies cost: what the server states, else by prices; a part that is not known makes the sum unknown."""

from __future__ import annotations

import pytest

from orchestrator.inference.expert import Expert, Prices
from orchestrator.inference.prices import paid, price, total
from orchestrator.inference.request import Completion, UpstreamUsage


def reply(cached: bool = False, usage: UpstreamUsage | None = None) -> Completion:
    return Completion("k", "", "stop", 1_000, 500, seconds=2.0, cached=cached, usage=usage)


def expert(**prices: float) -> Expert:
    return Expert("a", "a", "s", prices=Prices(**prices) if prices else None)


def test_prompt_cache_reply_and_seconds_are_added_up() -> None:
    priced = expert(input=3.0, cached=1.0, output=10.0, second=0.01)
    assert price(priced, reply()) == pytest.approx(0.003 + 0.005 + 0.02)
    assert price(priced, reply(usage=UpstreamUsage(cached_tokens=400))) == pytest.approx(0.0018 + 0.0004 + 0.005 + 0.02)
    assert price(expert(input=3.0), reply(usage=UpstreamUsage(cached_tokens=400))) == pytest.approx(0.003)


def test_what_the_server_states_counts_and_the_ledger_costs_nothing_now() -> None:
    stated = UpstreamUsage(cost=0.5)
    assert price(expert(input=3.0), reply(usage=stated)) == 0.5
    assert (paid(expert(), reply(usage=stated)), paid(expert(), reply(cached=True, usage=stated))) == (0.5, 0.0)
    assert price(expert(), reply()) is None


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert total([0.1, 0.2]) == pytest.approx(0.3)
    assert total([0.1, None]) is None
    assert total([]) is None
