"""Progress on standard error while a pipeline runs: replies, tokens a second, resident experts, loads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.collegium import Collegium
from orchestrator.progress import TokenRate, progress_line

T = TypeVar("T")
TICK = 0.2
PLAIN_TICK = 15.0
"""Seconds between lines where standard error is no terminal."""


def run_with_progress(collegium: Collegium, work: Callable[[], Coroutine[Any, Any, T]], quiet: bool = False) -> T:
    """Run a pipeline to its end, showing what the workers do."""

    async def both() -> T:
        async with _progress_line(collegium, Console(stderr=True, quiet=quiet)):
            return await work()

    return asyncio.run(both())


@contextlib.asynccontextmanager
async def _progress_line(collegium: Collegium, console: Console) -> AsyncIterator[None]:
    showing = asyncio.create_task(_show(collegium, console))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        if collegium.progress:
            console.print(_line(collegium, 0.0), soft_wrap=True)


async def _show(collegium: Collegium, console: Console) -> None:
    speed = TokenRate()
    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_TICK)
            console.print(_line(collegium, speed(collegium)), soft_wrap=True)
    with Live(console=console, transient=True, refresh_per_second=8) as live:
        while True:
            await asyncio.sleep(TICK)
            live.update(_line(collegium, speed(collegium)))


def _line(collegium: Collegium, speed: float) -> Text:
    return Text(progress_line(collegium, speed), style="dim")
