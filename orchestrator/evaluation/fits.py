"""What is fitted on a profile: once for each thing that is wanted of it, on a thread, for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Fits:
    """Thread-safe, for callers of any loop. A fit that failed is tried again by the next caller."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Future[Any]] = {}

    async def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned for this key. Raises what it raised."""
        future, mine = self._claimed(key)
        if mine:
            asyncio.get_running_loop().run_in_executor(None, self._make, key, future, make)
        found: T = await asyncio.shield(asyncio.wrap_future(future))
        return found

    def now(self, key: Hashable, make: Callable[[], T]) -> T:
        """The same on this thread, which waits."""
        future, mine = self._claimed(key)
        if mine:
            self._make(key, future, make)
        found: T = future.result()
        return found

    def _claimed(self, key: Hashable) -> tuple[Future[Any], bool]:
        own: Future[Any] = Future()
        own.set_running_or_notify_cancel()  # nobody who leaves cancels it for the others
        future = self._made.setdefault(key, own)
        return future, future is own

    def _make(self, key: Hashable, future: Future[Any], make: Callable[[], Any]) -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            del self._made[key]
            future.set_exception(error)
