"""What the methods of pipelines stand on: running one by its name, here or at a service."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.errors import RequestError

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
    """Run to its end from code without a loop. Raises `RequestError` where a loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise RequestError("an event loop is running here (a notebook?): await the method with an `a` in front instead")
