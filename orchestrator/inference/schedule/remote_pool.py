"""A pool whose inside lives in a Ray actor: callers of many processes share one scheduler, one ledger, one crew.

`RemotePool` has every face of a `Pool` and sends what is asked to `SchedulerCalls` in the actor, a message a turn of
the loop; what comes back is one message for all that happened since the last, an engine step for instance. If the
actor is lost, whoever waits hears so (`ExpertFailed`: ask again), and the pool goes on with the one that Ray starts
in its place.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.errors import Cancelled, CollegiumError, ExpertFailed
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.request import Completion, Delta, Request
from orchestrator.inference.schedule.pending import Waiter, hand_over, pass_on
from orchestrator.inference.schedule.pool import ThreadedPool
from orchestrator.inference.schedule.timeline import LoadRecord, Timeline

Call = tuple[int, Request, str]
"""(the caller's number for it, request, expert's name)."""
News = tuple[int, Delta | Completion | CollegiumError]
RETRY = 0.5
"""Seconds between tries to reach an actor that is being started anew."""
SILENCE = 30.0
"""A process that has not asked for news for so many seconds has gone: its requests are withdrawn."""


class SchedulerCalls:
    """The actor's side: takes calls of many processes, and keeps news for each until it is fetched. Lives on one
    event loop."""

    def __init__(self, pool: Pool, experts: Mapping[str, Expert]) -> None:
        self._pool = pool
        self._experts = experts
        self._callers: dict[str, _Caller] = {}

    def submit(self, caller: str, calls: Sequence[Call]) -> None:
        """Does not wait."""
        known = self._caller(caller)
        for number, request, name in calls:
            known.begin(number, self._follow(known, number, request, self._experts[name]))

    def withdraw(self, caller: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._caller(caller).end(number)

    async def news(self, caller: str) -> list[News]:
        """Waits until there is some; [] once in a while."""
        known = self._caller(caller)
        known.last_heard = asyncio.get_running_loop().time()
        self._forget_the_silent(known.last_heard)
        return await known.take()

    def conversation(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        self._pool.note_conversations(opened, closed)

    async def load(self) -> LoadRecord:
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
                    caller.tell((number, part))
            else:
                (outcome,) = await self._pool.ask([(request, expert)])
                caller.tell((number, outcome if isinstance(outcome, Completion) else _ours(outcome)))
        except Exception as error:
            caller.tell((number, _ours(error)))


class _Caller:
    """One process that asks."""

    def __init__(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._news: list[News] = []
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

    def tell(self, news: News) -> None:
        self._news.append(news)
        self._some.set()

    async def take(self) -> list[News]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE / 3):
                await self._some.wait()
        self._some.clear()
        news, self._news = self._news, []
        return news


class RemotePool(ThreadedPool):
    """`actor`: a handle whose methods `submit`, `withdraw`, `news`, `conversation`, `load` are those of
    `SchedulerCalls`. `caller`: this process's name, which no other has."""

    def __init__(self, actor: Any, caller: str) -> None:
        super().__init__(lambda loop: _Outpost(loop, actor, caller))

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `ThreadedPool.stream`; the actor has seen to it already that nothing is said twice."""
        arrived: asyncio.Queue[Delta | None] = asyncio.Queue()
        ticket = Waiter(request, expert, arrived.put_nowait)
        ticket.future.add_done_callback(lambda _: arrived.put_nowait(None))
        self._post([ticket])
        try:
            while (delta := await arrived.get()) is not None:
                yield delta
            yield await ticket.future
        finally:
            if not ticket.future.done():
                ticket.future.cancel()
                self._withdraw([ticket])


class _Outpost:
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

    def man(self) -> None:
        """The actor has done so."""

    def take_in(self, items: Sequence[Waiter | Callable[[], None]]) -> None:
        calls: list[Call] = []
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

    def withdraw(self, tickets: Iterable[Waiter]) -> None:
        gone = set(map(id, tickets))
        numbers = [number for number, ticket in self._tickets.items() if id(ticket) in gone]
        for number in numbers:
            del self._tickets[number]
        self._begin(self._send("withdraw", self._caller, numbers))

    def opened(self, conversation: str) -> None:
        self._opened.append(conversation)

    def closed(self, conversation: str) -> None:
        self._closed.append(conversation)

    def tell(self, asked: concurrent.futures.Future[LoadRecord]) -> None:
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

    async def _submit(self, calls: list[Call]) -> None:
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
            said, outcomes = [], []
            for number, what in news:
                ticket = self._tickets.get(number)
                if ticket is None:
                    continue
                if isinstance(what, Delta):
                    said.append((ticket, what))
                else:
                    del self._tickets[number]
                    outcomes.append((ticket, what))
            pass_on(said)
            hand_over(outcomes)

    def _fail(self, numbers: Iterable[int], error: CollegiumError) -> None:
        tickets = [self._tickets.pop(number) for number in numbers if number in self._tickets]
        hand_over([(ticket, error) for ticket in tickets])


def _ours(error: BaseException) -> CollegiumError:
    return error if isinstance(error, CollegiumError) else CollegiumError(f"{type(error).__name__}: {error}")


def _lost(error: Exception) -> CollegiumError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return ExpertFailed(f"the scheduler was lost and is being started anew, ask again: {first[:200]}")
