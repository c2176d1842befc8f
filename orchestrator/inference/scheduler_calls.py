"""The actor's side of `schedule.remote_pool`: calls of many processes to the one pool of their Ray cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from orchestrator.errors import CollegiumError
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Request
from orchestrator.inference.schedule.remote_pool import NumberedCall, NumberedOutcome
from orchestrator.inference.schedule.timeline import PoolLoad

SILENCE = 30.0
"""A process that has not asked for news for so many seconds has gone: its requests are withdrawn."""


class SchedulerCalls:
    """The actor's side: takes calls of many processes, and keeps news for each until it is fetched. Lives on one
    event loop."""

    def __init__(self, pool: Pool, experts: Mapping[str, Expert]) -> None:
        self._pool = pool
        self._experts = experts
        self._callers: dict[str, _Caller] = {}

    def submit(self, caller: str, calls: Sequence[NumberedCall]) -> None:
        """Does not wait."""
        known = self._caller(caller)
        for number, request, name in calls:
            known.begin(number, self._follow(known, number, request, self._experts[name]))

    def withdraw(self, caller: str, numbers: Sequence[int]) -> None:
        """End a caller's requests of these numbers."""
        for number in numbers:
            self._caller(caller).end(number)

    async def news(self, caller: str) -> list[NumberedOutcome]:
        """Waits until there is some; [] once in a while."""
        known = self._caller(caller)
        known.last_heard = asyncio.get_running_loop().time()
        self._forget_the_silent(known.last_heard)
        return await known.take()

    def conversation(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        """Note which conversations began and ended."""
        self._pool.note_conversations(opened, closed)

    async def load(self) -> PoolLoad:
        """What the workers are doing now."""
        return await self._pool.load()

    def _caller(self, name: str) -> _Caller:
        return self._callers.setdefault(name, _Caller())

    def _forget_the_silent(self, now: float) -> None:
        for name, caller in list(self._callers.items()):
            if now - caller.last_heard > SILENCE:
                caller.end_all()
                del self._callers[name]

    async def _follow(self, caller: _Caller, number: int, request: Request, expert: Expert) -> None:
        try:
            if request.stream:
                async for part in self._pool.stream(request, expert):
                    caller.put_news((number, part))
            else:
                (outcome,) = await self._pool.ask([(request, expert)])
                caller.put_news((number, outcome if isinstance(outcome, Completion) else _ours(outcome)))
        except Exception as error:
            caller.put_news((number, _ours(error)))


class _Caller:
    """One process that asks."""

    def __init__(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._news: list[NumberedOutcome] = []
        self._some = asyncio.Event()

    def begin(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[number] = task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    def end(self, number: int) -> None:
        if task := self._tasks.pop(number, None):
            task.cancel()

    def end_all(self) -> None:
        for number in list(self._tasks):
            self.end(number)

    def put_news(self, outcome: NumberedOutcome) -> None:
        self._news.append(outcome)
        self._some.set()

    async def take(self) -> list[NumberedOutcome]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE / 3):
                await self._some.wait()
        self._some.clear()
        outcome, self._news = self._news, []
        return outcome


def _ours(error: BaseException) -> CollegiumError:
    return error if isinstance(error, CollegiumError) else CollegiumError(f"{type(error).__name__}: {error}")
