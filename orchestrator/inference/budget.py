"""A pool that spends no more than a budget: whoever asks for more than is left is refused before anything is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

from orchestrator.errors import BadInput, BudgetExceeded
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.prices import paid
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.conversation_scope import ConversationScope
from orchestrator.inference.schedule.pending import Outcome
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline

CHARACTERS_PER_TOKEN = 3.0
"""Of a prompt, in the estimate before a call: few, so that it errs on the safe side."""
Amount = tuple[float, float]
"""(tokens, US dollars)."""


class BudgetPool:
    """Stands before another pool for one run or job. Replies from the ledger cost nothing.

    A call is let through if what has been spent, what the calls under way may still spend, and what this one may spend
    at most (its prompt and its longest reply) stay within the budget. One that does not fit waits while others are
    under way: they mostly spend less than they might.
    """

    def __init__(self, pool: Pool, tokens: int | None, dollars: float | None) -> None:
        """`tokens` counts prompts and replies; None: no limit."""
        self._pool = pool
        self._limits = (float("inf") if tokens is None else tokens, float("inf") if dollars is None else dollars)
        self._money = dollars is not None
        self.spent: Amount = (0.0, 0.0)
        self._reserved: Amount = (0.0, 0.0)
        self._under_way = 0
        self._released = asyncio.Event()

    @property
    def timeline(self) -> Timeline:
        """Of the pool behind it."""
        return self._pool.timeline

    def start(self) -> None:
        """Start the workers of the pool behind it."""
        self._pool.start()

    async def load(self) -> PoolLoad:
        """What the workers of the pool behind it are doing."""
        return await self._pool.load()

    def request(
        self,
        expert: Expert,
        messages: Sequence[PromptMessage],
        sampling: Sampling,
        *,
        stream: bool = False,
        max_wait: float | None = None,
    ) -> Request:
        """A request of this pool, as the pool behind it makes it."""
        return self._pool.request(expert, messages, sampling, stream=stream, max_wait=max_wait)

    async def ask(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask`; a call that the budget does not allow yields `BudgetExceeded`."""
        return list(await asyncio.gather(*(self._ask_one(request, expert) for request, expert in calls)))

    async def _ask_one(self, request: Request, expert: Expert) -> Outcome:
        maximum = self._maximum(request, expert)
        while not self._fits(maximum):
            if not self._under_way:
                return self._refusal(request, expert, maximum)
            self._released.clear()
            await self._released.wait()
        self._reserve(maximum, 1)
        try:
            (outcome,) = await self._pool.ask([(request, expert)])
            self._count(expert, outcome)
            return outcome
        finally:
            self._reserve(maximum, -1)

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `Pool.stream`. Raises `BudgetExceeded`."""
        maximum = self._maximum(request, expert)
        if not self._fits(maximum):
            raise self._refusal(request, expert, maximum)
        self._reserve(maximum, 1)
        try:
            async for part in self._pool.stream(request, expert):
                if isinstance(part, Completion):
                    self._count(expert, part)
                yield part
        finally:
            self._reserve(maximum, -1)

    def ask_blocking(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask_blocking`. Raises `BudgetExceeded` where the calls together do not fit."""
        for request, expert in calls:
            maximum = self._maximum(request, expert)
            if not self._fits(maximum):
                raise self._refusal(request, expert, maximum)
        outcomes = self._pool.ask_blocking(calls)
        for outcome, (_, expert) in zip(outcomes, calls, strict=True):
            self._count(expert, outcome)
        return outcomes

    def stream_blocking(self, request: Request, expert: Expert) -> Iterator[Delta | Completion]:
        """As `Pool.stream_blocking`. Raises `BudgetExceeded`."""
        maximum = self._maximum(request, expert)
        if not self._fits(maximum):
            raise self._refusal(request, expert, maximum)
        for part in self._pool.stream_blocking(request, expert):
            if isinstance(part, Completion):
                self._count(expert, part)
            yield part

    def refuse_own_thread(self) -> None:
        """As `Pool.refuse_own_thread`."""
        self._pool.refuse_own_thread()

    def conversation(self, question: str, seed: int = 0) -> contextlib.AbstractContextManager[ConversationScope]:
        """As `Pool.conversation`."""
        return self._pool.conversation(question, seed)

    def note_conversations(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        """As `Pool.note_conversations`."""
        self._pool.note_conversations(opened, closed)

    def close(self) -> None:
        """It belongs to others."""

    def _maximum(self, request: Request, expert: Expert) -> Amount:
        """What the call may cost at most. Raises `BadInput` for a budget in money and an expert without prices."""
        prompt = sum(len(text) for _, text in request.messages) / CHARACTERS_PER_TOKEN
        reply = min(request.sampling.max_tokens, expert.context)
        prices = expert.prices
        if prices is None:
            if self._money and expert.remote:
                raise BadInput(
                    f"budget.dollars: the price of expert {expert.name!r} is not known: give its `prices`, or a budget "
                    "in tokens"
                )
            return prompt + reply, 0.0
        return prompt + reply, (prompt * prices.input + reply * prices.output) / 1e6

    def _fits(self, maximum: Amount) -> bool:
        sums = zip(self.spent, self._reserved, maximum, self._limits, strict=True)
        return all(spent + reserved + more <= limit for spent, reserved, more, limit in sums)

    def _reserve(self, maximum: Amount, sign: int) -> None:
        self._reserved = (self._reserved[0] + sign * maximum[0], self._reserved[1] + sign * maximum[1])
        self._under_way += sign
        if sign < 0:
            self._released.set()

    def _count(self, expert: Expert, outcome: Outcome) -> None:
        if isinstance(outcome, Completion) and not outcome.cached:
            tokens = outcome.prompt_tokens + outcome.completion_tokens
            self.spent = (self.spent[0] + tokens, self.spent[1] + (paid(expert, outcome) or 0.0))

    def _refusal(self, request: Request, expert: Expert, maximum: Amount) -> BudgetExceeded:
        key, unit = ("dollars", "US dollars") if self.spent[1] + maximum[1] > self._limits[1] else ("tokens", "tokens")
        place = int(key == "dollars")
        state = f"{self.spent[place]:.6g} of {self._limits[place]:.6g} {unit} are spent"
        return BudgetExceeded(
            f"budget.{key}: {state}, and the next call of expert {expert.name!r} may take "
            f"{maximum[place]:.6g}: raise the "
            "budget, or ask fewer or shorter questions; finished replies are kept"
        )
