"""Down a ranking: the first expert that gives a reply answers a chat. One that fails is followed by the next at once;
one that keeps silent is joined by the next, and whoever speaks first is heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from orchestrator.chats.chat_events import (
    ChatEvent,
    ChatEvents,
    FinishEvent,
    ProgressEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.failure_log import log_failure
from orchestrator.errors import CollegiumError, ContentFiltered, UpstreamError, no_answer

News = tuple[int, ChatEvent | CollegiumError | Exception | None]
"""(place in the ranking, what it said; None: it has ended)."""


class FirstReply:
    """Asks experts one after the other. `failures` and `winner` say afterwards how it went."""

    def __init__(
        self,
        names: Sequence[str],
        ask: Callable[[str], ChatEvents],
        health: ExpertHealth,
        *,
        hedge_seconds: float,
        stream: bool,
        hold: Callable[[str], bool] = lambda name: False,
        estimate: Callable[[str, str], float | None] = lambda name, text: None,
    ) -> None:
        """`names`: best first, as many as may be asked. `hedge_seconds`: silence after which the next one is asked,
        too. `stream`: an expert has replied with its first text, else with its whole reply; so has one that is on
        `hold`, whose replies may break off. `estimate`: US dollars of a call of which only this text arrived."""
        self.failures: dict[str, CollegiumError] = {}
        self.slow: list[str] = []
        self.winner: str | None = None
        self._names = names
        self._ask = ask
        self._health = health
        self._hedge = hedge_seconds
        self._stream = stream
        self._hold = hold
        self._estimate = estimate
        self._news: asyncio.Queue[News] = asyncio.Queue()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, list[ChatEvent]] = {}
        self._stored: set[int] = set()
        """Whose replies came from the ledger."""
        self._next = 0

    async def events(self) -> ChatEvents:
        """The reply. Raises what `no_answer` makes of the failures if nobody replied."""
        try:
            self._start()
            winner, first = await self._first()
            self.winner = self._names[winner]
            self._end_others(winner)
            for event in first:
                yield event
            if not self._stream:
                return
            while True:
                place, news = await self._news.get()
                if place != winner:
                    continue
                if isinstance(news, Exception):
                    if isinstance(news, CollegiumError):
                        self._health.broke_off(self.winner)
                        self._health.failed(self.winner, news)
                    raise news
                if news is None:
                    self._well(winner)
                    return
                yield news
        finally:
            self._end_others(None)

    async def _first(self) -> tuple[int, list[ChatEvent]]:
        """(who spoke first, its events so far)."""
        while True:
            waiting = self._hedge if self._next < len(self._names) else None
            try:
                async with asyncio.timeout(waiting):
                    place, news = await self._news.get()
            except TimeoutError:
                for running in self._running:
                    if self._names[running] not in self.slow:
                        self.slow.append(self._names[running])
                        self._health.slow(self._names[running])
                self._start()
                continue
            name = self._names[place]
            if isinstance(news, Exception):
                if not isinstance(news, CollegiumError) or not news.elsewhere:
                    raise news
                self._failed(place, news)
            elif news is None:
                if (silent := _silence(self._held[place])) is None:
                    if not self._stream:
                        self._well(place)
                    else:
                        self._news.put_nowait((place, None))
                    return place, self._held[place]
                self._failed(place, silent)
            else:
                self._held[place].append(news)
                if self._stream and isinstance(news, TextEvent) and news.text and not self._hold(name):
                    return place, self._held[place]

    def _failed(self, place: int, error: CollegiumError) -> None:
        name = self._names[place]
        self.failures[name] = error
        self._health.failed(name, error)
        if _text(self._held[place]):
            self._health.broke_off(name)
        self._running.pop(place, None)
        more = self._next < len(self._names)
        log_failure(error, name, replaced=more or bool(self._running))
        if more:
            self._start()
        elif not self._running:
            raise no_answer(self.failures)

    def _well(self, place: int) -> None:
        if self._names[place] not in self.slow and place not in self._stored:
            self._health.well(self._names[place])

    def unused(self) -> dict[str, float | None]:
        """US dollars of the calls whose replies were not used, by expert: those that were withdrawn when another expert
        was first, and those that failed after a part had come. An estimate where no usage arrived; None: not known."""
        found: dict[str, float | None] = {}
        for place, events in self._held.items():
            name = self._names[place]
            text = _text(events)
            if name == self.winner or (name in self.failures and not text):
                continue
            usages = [event for event in events if isinstance(event, UsageEvent)]
            found[name] = usages[-1].cost if usages else self._estimate(name, text)
        return found

    def _start(self) -> None:
        place, self._next = self._next, self._next + 1
        self._held[place] = []
        self._running[place] = asyncio.create_task(self._follow(place))

    async def _follow(self, place: int) -> None:
        try:
            async with contextlib.aclosing(self._ask(self._names[place])) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, UsageEvent) and event.stored:
                        self._stored.add(place)
                    self._news.put_nowait((place, event))
            self._news.put_nowait((place, None))
        except Exception as error:
            self._news.put_nowait((place, error))

    def _end_others(self, winner: int | None) -> None:
        for place, task in self._running.items():
            if place != winner:
                task.cancel()


def _text(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextEvent))


def _silence(events: Sequence[ChatEvent]) -> CollegiumError | None:
    """Why a whole reply is none: it holds no text, or was cut by its server's content rules."""
    texts = any(isinstance(event, TextEvent) and event.text.strip() for event in events)
    filtered = any(isinstance(event, FinishEvent) and event.reason == "content_filter" for event in events)
    if filtered:
        return ContentFiltered("the server cut the reply because of its content rules")
    called = any(isinstance(event, (ToolCallEvent, ProgressEvent)) for event in events)
    return None if texts or called else UpstreamError("the reply is empty")
