"""A pool whose inside lives in a Ray actor: callers of many processes share one scheduler, one ledger, one supervisor.

`RemotePool` has every face of a pool and sends what is asked to `scheduler_calls.SchedulerCalls` in the actor, one
message per turn of the loop; what comes back is one message for all that happened since the last, an engine step for
instance. If the actor is lost, its callers receive `ExpertFailed` (ask again), and the pool goes on with the actor that
Ray starts in its place.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any

from orchestrator.errors import Cancelled, CollegiumError, ExpertFailed
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request
from orchestrator.inference.schedule.pending import Waiter, hand_over, pass_on
from orchestrator.inference.schedule.pool import ThreadedPool
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline

NumberedCall = tuple[int, Request, str]
"""(the caller's number for it, request, expert's name)."""
NumberedOutcome = tuple[int, Delta | Completion | CollegiumError]
RETRY = 0.5
"""Seconds between tries to reach an actor that is being started anew."""


class RemotePool(ThreadedPool):
    """`actor`: a handle whose methods `submit`, `withdraw`, `news`, `conversation`, `load` are those of
    `SchedulerCalls`. `caller`: this process's name, which no other has."""

    def __init__(self, actor: Any, caller: str) -> None:
        super().__init__(lambda loop: _ActorBackend(loop, actor, caller))

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `ThreadedPool.stream`; the actor has seen to it already that nothing is said twice."""
        arrived: asyncio.Queue[Delta | None] = asyncio.Queue()
        waiter = Waiter(request, expert, arrived.put_nowait)
        waiter.future.add_done_callback(lambda _: arrived.put_nowait(None))
        self._post([waiter])
        try:
            while (delta := await arrived.get()) is not None:
                yield delta
            yield await waiter.future
        finally:
            if not waiter.future.done():
                waiter.future.cancel()
                self._withdraw([waiter])


class _ActorBackend:
    """The pool's inside, here: everything goes to the actor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, actor: Any, caller: str) -> None:
        self.timeline = Timeline()
        self._loop = loop
        self._actor = actor
        self._caller = caller
        self._numbers = itertools.count()
        self._tickets: dict[int, Waiter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: list[str] = []
        self._closed: list[str] = []

    def start(self) -> None:
        self._begin(self._listen())

    def start_workers(self) -> None:
        """The actor has done so."""

    def take_in(self, items: Sequence[Waiter | Callable[[], None]]) -> None:
        calls: list[NumberedCall] = []
        for item in items:
            if isinstance(item, Waiter):
                number = next(self._numbers)
                self._tickets[number] = item
                calls.append((number, item.request, item.expert.name))
            else:
                item()
        if self._opened or self._closed:
            opened, closed, self._opened, self._closed = self._opened, self._closed, [], []
            self._begin(self._send("conversation", opened, closed))
        if calls:
            self._begin(self._submit(calls))

    def withdraw(self, waiters: Iterable[Waiter]) -> None:
        gone = set(map(id, waiters))
        numbers = [number for number, waiter in self._tickets.items() if id(waiter) in gone]
        for number in numbers:
            del self._tickets[number]
        self._begin(self._send("withdraw", self._caller, numbers))

    def opened(self, conversation: str) -> None:
        self._opened.append(conversation)

    def closed(self, conversation: str) -> None:
        self._closed.append(conversation)

    def report_load(self, asked: concurrent.futures.Future[PoolLoad]) -> None:
        async def ask() -> None:
            try:
                asked.set_result(await self._actor.load.remote())
            except Exception as error:
                asked.set_exception(_lost(error))

        self._begin(ask())

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail(list(self._tickets), Cancelled("the pool was closed"))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, method: str, *arguments: Any) -> None:
        with contextlib.suppress(Exception):  # the actor is gone, and with it what this is about
            await getattr(self._actor, method).remote(*arguments)

    async def _submit(self, calls: list[NumberedCall]) -> None:
        try:
            await self._actor.submit.remote(self._caller, calls)
        except Exception as error:
            self._fail([number for number, _, _ in calls], _lost(error))

    async def _listen(self) -> None:
        while True:
            try:
                news = await self._actor.news.remote(self._caller)
            except Exception as error:
                self._fail(list(self._tickets), _lost(error))
                await asyncio.sleep(RETRY)
                continue
            streamed, outcomes = [], []
            for number, what in news:
                waiter = self._tickets.get(number)
                if waiter is None:
                    continue
                if isinstance(what, Delta):
                    streamed.append((waiter, what))
                else:
                    del self._tickets[number]
                    outcomes.append((waiter, what))
            pass_on(streamed)
            hand_over(outcomes)

    def _fail(self, numbers: Iterable[int], error: CollegiumError) -> None:
        waiters = [self._tickets.pop(number) for number in numbers if number in self._tickets]
        hand_over([(waiter, error) for waiter in waiters])


def _lost(error: Exception) -> CollegiumError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return ExpertFailed(f"the scheduler was lost and is being started anew, ask again: {first[:200]}")
