"""A budget: whoever asks for more than is left is refused before anything is asked, or waits for what is under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.errors import BadInput, BudgetExceeded
from orchestrator.inference.budget import Budget, BudgetPool
from orchestrator.inference.expert import Expert, Prices, RemoteModel
from orchestrator.inference.request import Completion, Request, Sampling

PRICED = Expert("dear", "f", "s", remote=RemoteModel("http://x", "m"), prices=Prices(input=0.0, output=1e6))
PLAIN = Expert("plain", "f", "s", context=1_000)


def call(expert: Expert, reply: int = 10) -> tuple[Request, Expert]:
    return Request("k", expert.name, (("user", "x" * 30),), Sampling(max_tokens=reply)), expert


class Behind:
    """A pool whose replies take ten prompt tokens and five of their own, once it is let go."""

    def __init__(self, cached: bool = False) -> None:
        self.asked = 0
        self.cached = cached
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, calls: Any) -> list[Completion]:
        self.asked += 1
        await self.open.wait()
        return [Completion("k", "", "stop", 10, 5, cached=self.cached)]


async def test_a_call_that_might_pass_the_budget_is_not_asked() -> None:
    behind = Behind()
    pool = BudgetPool(behind, budget := Budget(40, None))  # type: ignore[arg-type]
    for _ in range(2):
        assert isinstance((await pool.ask([call(PLAIN)]))[0], Completion)
    assert budget.spent == (30, 0)
    (refused,) = await pool.ask([call(PLAIN)])
    assert isinstance(refused, BudgetExceeded)
    assert "30 of 40 tokens are spent" in str(refused)
    assert behind.asked == 2


@pytest.mark.parametrize(("text", "tokens"), [("x" * 30, 10), ("x" * 31, 11), ("天" * 30, 30), ("\ud800", 1)])
def test_a_prompts_tokens_are_whole_and_none_too_few(text: str, tokens: int) -> None:
    request = Request("k", "plain", (("user", text),), Sampling(max_tokens=7))
    assert Budget(40, None).maximum(request, PLAIN) == (tokens + 7, 0.0)


async def test_what_is_under_way_is_reserved_and_whoever_does_not_fit_waits() -> None:
    behind = Behind()
    behind.open.clear()
    pool = BudgetPool(behind, budget := Budget(35, None))  # type: ignore[arg-type]
    both = asyncio.create_task(pool.ask([call(PLAIN), call(PLAIN)]))
    await asyncio.sleep(0.01)
    assert behind.asked == 1  # each may take 20
    behind.open.set()
    assert all(isinstance(one, Completion) for one in await both)
    assert budget.spent == (30, 0)


async def test_money_is_counted_by_prices_and_the_ledger_is_free() -> None:
    pool = BudgetPool(Behind(), budget := Budget(None, 12.0))  # type: ignore[arg-type]
    assert isinstance((await pool.ask([call(PRICED)]))[0], Completion)
    assert budget.spent[1] == pytest.approx(5.0)
    (refused,) = await pool.ask([call(PRICED)])
    assert "budget.dollars: 5 of 12 US dollars are spent" in str(refused)
    free = BudgetPool(Behind(cached=True), budget := Budget(20, None))  # type: ignore[arg-type]
    for _ in range(5):
        assert isinstance((await free.ask([call(PLAIN)]))[0], Completion)
    assert budget.spent == (0, 0)


async def test_a_budget_in_money_needs_the_price_of_a_remote_expert() -> None:
    unpriced = Expert("far", "f", "s", remote=RemoteModel("http://x", "m"))
    with pytest.raises(BadInput, match="the price of expert 'far' is not known"):
        await BudgetPool(Behind(), Budget(None, 1.0)).ask([call(unpriced)])  # type: ignore[arg-type]
