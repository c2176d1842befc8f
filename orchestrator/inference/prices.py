"""What replies cost, in US dollars."""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion

TYPICAL_CHARACTERS = 4.0
"""Of a token, in estimates of what was never counted."""


def price(expert: Expert, completion: Completion) -> float | None:
    """What generating the completion costs: what its server states, else by the expert's prices; None: not known, as
    with a server that counts no tokens. For one from the ledger: what it cost when it was generated."""
    usage = completion.usage
    if usage is not None and usage.cost is not None:
        return usage.cost
    prices = expert.prices
    if prices is None or (expert.remote and not completion.prompt_tokens and (prices.input or prices.output)):
        return None  # a server that counts nothing
    cached = usage.cached_tokens if usage else 0
    fresh = max(0, completion.prompt_tokens - cached)
    per_cached = prices.input if prices.cached is None else prices.cached
    tokens = fresh * prices.input + cached * per_cached + completion.completion_tokens * prices.output
    return tokens / 1e6 + completion.seconds * prices.second


def withdrawn(expert: Expert, characters: int, text: str) -> float | None:
    """About what a call costs that was withdrawn, or broke off, when this much of its reply had come: a token per four
    characters. `characters`: of its prompt. None: not known."""
    if expert.prices is None:
        return None
    prices = expert.prices
    return (characters * prices.input + len(text) * prices.output) / TYPICAL_CHARACTERS / 1e6


def paid(expert: Expert, completion: Completion) -> float | None:
    """What was paid for it now: nothing for a completion from the ledger."""
    return 0.0 if completion.cached else price(expert, completion)


def total(costs: Iterable[float | None]) -> float | None:
    """The sum; None if any part is not known, or there is none."""
    known = list(costs)
    if not known or any(cost is None for cost in known):
        return None
    return math.fsum(cost for cost in known if cost is not None)
