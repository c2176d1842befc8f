"""When a server elsewhere may be asked: its concurrency follows its rate limits, and a dead one is left alone.

Concurrency: additive increase, multiplicative decrease, as TCP (Chiu and Jain, 1989): every reply adds 1/limit, every
429 halves the limit, at most to what the configuration allows. After a 429, nobody asks before the server's
Retry-After has passed.

Circuit breaker (Nygard, Release It!): a server that has never answered gets at most `TRIES` attempts, one that has
answered before as many failed requests in a row. Then everybody is refused for `COOLDOWN` seconds, twice as long each
time. After that a single request probes; its success opens the door again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from orchestrator.errors import (
    CollegiumError,
    ContentFiltered,
    ExpertFailed,
    Overloaded,
    PromptTooLong,
    RateLimited,
    RequestError,
    UpstreamRefused,
    UpstreamTimeout,
)

TRIES = 3
COOLDOWN, MAX_COOLDOWN = 30.0, 300.0
FIRST_PAUSE, MAX_PAUSE = 1.0, 60.0
"""Seconds after a 429 without Retry-After, doubled each time in a row."""
HELD = 5.0
"""Seconds that a place stays taken whose caller left a server that has never answered."""
REQUEST_STATUSES = (400, 422)
"""Refusals that may be about one request alone."""


class Admission:
    """Lives on one event loop. `enter` before each attempt, `leave` after it."""

    def __init__(self, concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1, concurrency)
        self._clock = clock
        self.limit = float(self._most)
        """Requests in flight at once, as the server's rate limits allow."""
        self.in_flight = 0
        self._proven = False
        """It has answered since it was last cut off."""
        self._failures = 0
        self._cooldown = COOLDOWN
        self._closed_until = 0.0
        """Cut off until then; 0: it is not."""
        self._paused_until = 0.0
        self._pauses = 0
        """429s in a row."""
        self._last: ExpertFailed | None = None
        self._lanes: dict[tuple[bool, str], deque[asyncio.Future[None]]] = {}
        """(interactive, caller) -> who waits, first come first. The lanes go in turn; the first one is next."""
        self._waker: asyncio.TimerHandle | None = None

    async def enter(
        self, patience: float, longest: float = math.inf, *, interactive: bool = False, caller: str = ""
    ) -> None:
        """Wait for a place; callers get theirs in turn. Raises the server's last error while it is cut off, or paused
        for more than `patience` seconds, and `Overloaded` when no place is free within `longest` seconds."""
        if refusal := self._refusal(patience):
            raise refusal
        if self._room() and not self._lanes:
            self.in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lanes.setdefault((interactive, caller), deque()).append(place)
        self._wake()
        try:
            async with asyncio.timeout(longest if math.isfinite(longest) else None):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.in_flight -= 1  # it got its place at that very moment
                self._wake()
            else:
                self._forget(place)
            if isinstance(error, asyncio.CancelledError):
                raise
            if self._last and self._clock() < self._paused_until:
                raise self._not_asked(self._last) from None
            raise Overloaded(f"no place within {longest:.0f} s: {self.in_flight} requests in flight") from None

    def leave(self, error: CollegiumError | None, *, final: bool = True) -> None:
        """An attempt has ended. `final`: no further one follows for this request."""
        self.in_flight -= 1
        if error is None:
            self._succeeded()
        elif isinstance(error, RateLimited):
            self._slow_down(error)
        elif isinstance(error, ExpertFailed) and self._counts(error) and (final or not self._proven):
            self._failed(error)
        self._wake()

    def abandon(self) -> None:
        """The caller of an attempt has gone; nothing was learnt. A server that has never answered is not asked in its
        place: every caller would leave in the same way. If it has not answered anybody after `HELD` seconds either, the
        attempt counts as failed."""
        if self._proven:
            self.in_flight -= 1
            self._wake()
        else:
            asyncio.get_running_loop().call_later(HELD, self._silent)

    def _silent(self) -> None:
        if self._proven:
            self.in_flight -= 1
            self._wake()
        else:
            self.leave(UpstreamTimeout("the server was silent until its callers left"))

    def remaining(self, requests: int, seconds: float) -> None:
        """The server allows so many more requests within so many seconds."""
        if requests <= 0 and seconds > 0:
            self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_PAUSE))
            self._last = self._last or RateLimited("its rate limits allow no request until they are reset")

    def _succeeded(self) -> None:
        self._proven, self._failures, self._pauses = True, 0, 0
        self._cooldown, self._closed_until, self._last = COOLDOWN, 0.0, None
        self.limit = min(float(self._most), self.limit + 1 / self.limit)

    def _slow_down(self, error: RateLimited) -> None:
        now = self._clock()
        self._last = error
        if self._proven and now < self._paused_until:
            return  # sent before the pause began: it says nothing new
        self._pauses += 1
        pause = (
            error.retry_after
            if error.retry_after is not None
            else min(MAX_PAUSE, FIRST_PAUSE * 2 ** (self._pauses - 1))
        )
        self._paused_until = max(self._paused_until, now + pause)
        self.limit = max(1.0, self.limit / 2)
        if not self._proven or self._pauses > TRIES or self._probing:
            self._failed(error)

    def _failed(self, error: ExpertFailed) -> None:
        self._failures += 1
        self._last = error
        if self._probing or self._failures >= TRIES:
            error.cut_off = max(error.retry_after or 0.0, self._cooldown)
            self._closed_until = self._clock() + error.cut_off
            self._cooldown = min(MAX_COOLDOWN, 2 * self._cooldown)
            self._proven = False
            lanes, self._lanes = self._lanes, {}
            for place in (place for lane in lanes.values() for place in lane):
                _reject(place, self._not_asked(error))

    def _counts(self, error: ExpertFailed) -> bool:
        """Whether a failure is the server's, and not one request's."""
        if isinstance(error, (ContentFiltered, RequestError, PromptTooLong)):
            return False
        about_request = isinstance(error, UpstreamRefused) and error.upstream_status in REQUEST_STATUSES
        return not (about_request and self._proven)

    @property
    def _probing(self) -> bool:
        return self._closed_until > 0

    def _refusal(self, patience: float) -> CollegiumError | None:
        wait = self._closed_until - self._clock()
        if wait <= 0:
            wait = self._paused_until - self._clock()
            if wait <= patience:
                return None
        return self._not_asked(self._last) if self._last else None

    def _not_asked(self, last: ExpertFailed) -> ExpertFailed:
        wait = max(self._closed_until, self._paused_until) - self._clock()
        failure = last.with_message(f"not asked for {wait:.0f} s more after: {last}")
        failure.retry_after = wait
        failure.not_asked = True
        cut_off = self._closed_until - self._clock()
        failure.cut_off = cut_off if cut_off > 0 else None
        return failure

    def _room(self) -> bool:
        now = self._clock()
        if now < self._paused_until or now < self._closed_until:
            return False
        if self._probing:
            return self.in_flight < 1
        allowed = self.limit if self._proven else min(self.limit, TRIES - self._failures)
        return self.in_flight < max(1, int(allowed))

    def _forget(self, place: asyncio.Future[None]) -> None:
        for name, lane in list(self._lanes.items()):
            if place in lane:
                lane.remove(place)
                if not lane:
                    del self._lanes[name]

    def _wake(self) -> None:
        while self._lanes and self._room():
            name, lane = next(iter(self._lanes.items()))
            place = lane.popleft()
            del self._lanes[name]
            if lane:
                self._lanes[name] = lane  # its next one comes after the others'
            if not place.done():
                self.in_flight += 1
                place.set_result(None)
        if self._waker is not None:
            self._waker.cancel()
            self._waker = None
        if self._lanes and (later := max(self._paused_until, self._closed_until) - self._clock()) > 0:
            self._waker = asyncio.get_running_loop().call_later(later + 0.001, self._wake)


def _reject(place: asyncio.Future[None], error: Exception) -> None:
    if not place.done():
        place.set_exception(error)
