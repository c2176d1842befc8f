"""A pool that spends no more than a budget: whoever asks for more than is left is refused before anything is asked."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from orchestrator.errors import BadInput, BudgetExceeded
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.pool_layer import PoolLayer
from orchestrator.inference.prices import TYPICAL_CHARACTERS, paid, withdrawn
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.pending import Outcome

BYTES_PER_TOKEN = 3
"""Of a prompt in UTF-8, in the estimate before a call: few, so that it errs on the safe side; a Chinese character is a
token."""
LOOK = 0.02
"""Seconds between looks whether a call that did not fit fits now."""
Amount = tuple[float, float]
"""(tokens, US dollars)."""


class Budget:
    """What may be spent, what has been spent, and what calls under way may still spend. Thread-safe."""

    def __init__(self, tokens: int | None, dollars: float | None, name: str = "budget") -> None:
        """`tokens` counts prompts and replies; None: no limit. `name`: in messages, such as `budget.tokens`."""
        self.name = name
        self.limits: Amount = (
            float("inf") if tokens is None else tokens,
            float("inf") if dollars is None else dollars,
        )
        self.spent: Amount = (0.0, 0.0)
        self.under_way = 0
        self._reserved: Amount = (0.0, 0.0)
        self._lock = threading.Lock()

    def reserve(self, maximum: Amount) -> bool:
        """Whether a call that may take so much fits; its amount is kept for it until `release`."""
        with self._lock:
            sums = zip(self.spent, self._reserved, maximum, self.limits, strict=True)
            if not all(spent + reserved + more <= limit for spent, reserved, more, limit in sums):
                return False
            self._reserved = (self._reserved[0] + maximum[0], self._reserved[1] + maximum[1])
            self.under_way += 1
            return True

    def release(self, maximum: Amount) -> None:
        """The call has ended."""
        with self._lock:
            self._reserved = (self._reserved[0] - maximum[0], self._reserved[1] - maximum[1])
            self.under_way -= 1

    def spend(self, prompt_tokens: int, completion_tokens: int, dollars: float | None) -> None:
        """One generated reply. `dollars` None: its price is not known."""
        with self._lock:
            self.spent = (self.spent[0] + prompt_tokens + completion_tokens, self.spent[1] + (dollars or 0.0))

    def maximum(self, request: Request, expert: Expert) -> Amount:
        """What the call may take at most. Raises `BadInput` for a budget in money and an expert without prices."""
        written = sum(len(text.encode(errors="replace")) for _, text in request.messages)
        prompt = math.ceil(written / BYTES_PER_TOKEN)
        reply = min(request.sampling.max_tokens, expert.context, expert.longest_reply or expert.context)
        prices = expert.prices
        if prices is None:
            if math.isfinite(self.limits[1]) and expert.remote:
                raise BadInput(
                    f"{self.name}.dollars: the price of expert {expert.name!r} is not known: give its `prices`, or a "
                    "budget in tokens"
                )
            return prompt + reply, 0.0
        return prompt + reply, (prompt * prices.input + reply * prices.output) / 1e6

    def refusal(self, expert: Expert, maximum: Amount) -> BudgetExceeded:
        """What to raise for a call that does not fit."""
        key, unit = ("dollars", "US dollars") if self.spent[1] + maximum[1] > self.limits[1] else ("tokens", "tokens")
        place = int(key == "dollars")
        state = f"{self.spent[place]:.6g} of {self.limits[place]:.6g} {unit} are spent"
        return BudgetExceeded(
            f"{self.name}.{key}: {state}, and the next call of expert {expert.name!r} may take {maximum[place]:.6g}: "
            "raise the budget, set max_tokens lower, or ask fewer or shorter questions; finished replies are kept"
        )


class BudgetPool(PoolLayer):
    """Stands before another pool: of one run or job, or of a service's callers. Replies from the ledger cost nothing.

    A call is let through if what has been spent, what the calls under way may still spend, and what this one may spend
    at most (its prompt and its longest reply) stay within the budget. One that does not fit waits while others are
    under way: they mostly spend less than they might. A call to a remote expert that is withdrawn counts by its prompt
    and what had come of its reply, as does a reply whose tokens its server did not count.
    """

    def __init__(self, pool: Pool, budget: Budget | Callable[[], Budget | None]) -> None:
        """`budget`: of all calls, or whoever pays for this task's calls; None: nobody counts them."""
        super().__init__(pool)
        self._payer: Callable[[], Budget | None] = (lambda: budget) if isinstance(budget, Budget) else budget

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
        budget = self._payer()
        if budget is None:
            (outcome,) = await self._pool.ask([(request, expert)])
            return outcome
        maximum = budget.maximum(request, expert)
        while not budget.reserve(maximum):
            if not budget.under_way:
                return budget.refusal(expert, maximum)
            await asyncio.sleep(LOOK)
        try:
            (outcome,) = await self._pool.ask([(request, expert)])
            _count(budget, request, expert, outcome)
            return outcome
        except asyncio.CancelledError:
            _count_withdrawn(budget, request, expert, "")
            raise
        finally:
            budget.release(maximum)

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `Pool.stream`. Raises `BudgetExceeded`."""
        with self._paying(request, expert) as pay:
            async for part in self._pool.stream(request, expert):
                pay(part)
                yield part

    def ask_blocking(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask_blocking`. Raises `BudgetExceeded` where the calls together do not fit."""
        with contextlib.ExitStack() as stack:
            pays = [stack.enter_context(self._paying(request, expert)) for request, expert in calls]
            outcomes = self._pool.ask_blocking(calls)
            for outcome, pay in zip(outcomes, pays, strict=True):
                pay(outcome)
            return outcomes

    def stream_blocking(self, request: Request, expert: Expert) -> Iterator[Delta | Completion]:
        """As `Pool.stream_blocking`. Raises `BudgetExceeded`."""
        with self._paying(request, expert) as pay:
            for part in self._pool.stream_blocking(request, expert):
                pay(part)
                yield part

    @contextlib.contextmanager
    def _paying(self, request: Request, expert: Expert) -> Iterator[Callable[[Outcome | Delta], None]]:
        """Within it, what has come of a call is given to the function. Raises `BudgetExceeded`."""
        budget = self._payer()
        if budget is None:
            yield lambda _: None
            return
        maximum = budget.maximum(request, expert)
        if not budget.reserve(maximum):
            raise budget.refusal(expert, maximum)
        came: list[str] = []
        ended = False

        def pay(part: Outcome | Delta) -> None:
            nonlocal ended
            if isinstance(part, Delta):
                came.append(part.text + part.reasoning)
            else:
                ended = True
                _count(budget, request, expert, part)

        try:
            yield pay
        except (asyncio.CancelledError, GeneratorExit):
            if not ended:
                _count_withdrawn(budget, request, expert, "".join(came))
            raise
        finally:
            budget.release(maximum)


def _count(budget: Budget, request: Request, expert: Expert, outcome: Outcome) -> None:
    if not isinstance(outcome, Completion) or outcome.cached:
        return
    if expert.remote and not outcome.prompt_tokens:  # its server counts nothing
        _count_withdrawn(budget, request, expert, outcome.text + outcome.reasoning)
    else:
        budget.spend(outcome.prompt_tokens, outcome.completion_tokens, paid(expert, outcome))


def _count_withdrawn(budget: Budget, request: Request, expert: Expert, text: str) -> None:
    if expert.remote is not None:
        characters = sum(len(content) for _, content in request.messages)
        tokens = round(characters / TYPICAL_CHARACTERS), round(len(text) / TYPICAL_CHARACTERS)
        budget.spend(*tokens, withdrawn(expert, characters, text))
