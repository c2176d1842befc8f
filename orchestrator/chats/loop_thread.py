"""An event loop on a thread of its own: what is asked from any thread or loop runs on this one."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Started when it is first used. Thread-safe; `close` is idempotent, and what runs then is cancelled."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for its result, from code that may block."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result, awaited on the caller's loop; cancelling this cancels it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._started()))

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items, from code that may block. Whoever leaves early ends their source."""
        arrived: queue.SimpleQueue[tuple[T | None, BaseException | None, bool]] = queue.SimpleQueue()
        future = asyncio.run_coroutine_threadsafe(_pump(items, arrived.put), self._started())
        try:
            while True:
                item, error, last = arrived.get()
                if error is not None:
                    raise error
                if last:
                    return
                yield item  # type: ignore[misc]
        finally:
            future.cancel()

    async def aiterate(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """The items, awaited on the caller's loop. Whoever leaves early ends their source."""
        here = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[T | None, BaseException | None, bool]] = asyncio.Queue()

        def put(news: tuple[T | None, BaseException | None, bool]) -> None:
            here.call_soon_threadsafe(arrived.put_nowait, news)

        future = asyncio.run_coroutine_threadsafe(_pump(items, put), self._started())
        try:
            while True:
                item, error, last = await arrived.get()
                if error is not None:
                    raise error
                if last:
                    return
                yield item  # type: ignore[misc]
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancel what runs, and end the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _pump(items: AsyncIterator[T], put: Callable[[tuple[T | None, BaseException | None, bool]], None]) -> None:
    try:
        async for item in items:
            put((item, None, False))
        put((None, None, True))
    except asyncio.CancelledError:
        put((None, None, True))
        raise
    except Exception as error:
        put((None, error, True))
    finally:
        await items.aclose()  # type: ignore[attr-defined]  # every source is a generator
