"""What the methods of pipelines stand on: running one by its name, here or at a service."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


def quiet(*_: object) -> None:
    """Hears nothing."""


class PipelineCalls(ABC):
    """Runs any pipeline by its name; `PipelineMethods` has one typed method per pipeline."""

    @abstractmethod
    async def aexecute(
        self,
        pipeline: str,
        request: BaseModel | None = None,
        *,
        done: Callable[[], None] = quiet,
        note: Callable[[str], None] = quiet,
        **options: Any,
    ) -> Any:
        """Run a pipeline, given its request or the request's fields. `done` is called once per finished reply, `note`
        with a line per new step. Raises `BadInput` for an unknown pipeline or field, and what the pipeline raises."""

    def execute(self, pipeline: str, request: BaseModel | None = None, **options: Any) -> Any:
        """As `aexecute`, from ordinary code."""
        return wait(self.aexecute(pipeline, request, **options))


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end from ordinary code. Where a loop is running already, as in a notebook's cell, the work gets a loop
    and a thread of its own; the other loop stands still meanwhile, and Ctrl-C cancels the work."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    context = contextvars.copy_context()
    loop = asyncio.new_event_loop()
    with concurrent.futures.ThreadPoolExecutor(1, "collegium-wait") as thread:
        running = thread.submit(context.run, _run, loop, work)
        try:
            return running.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(_cancel_all, loop)
            raise


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
