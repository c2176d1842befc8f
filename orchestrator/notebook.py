"""Progress in a notebook: one line below the cell, renewed while a pipeline runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from orchestrator.progress import ProgressSource, TokenRate, progress_line

TICK = 0.5
"""Seconds between two looks at the workers."""


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this program: IPython with somewhere to display to."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextlib.asynccontextmanager
async def notebook_progress(observed: ProgressSource) -> AsyncIterator[None]:
    """Shows the line while the block runs; outside a notebook, nothing."""
    if not in_notebook():
        yield
        return
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    line = display(_Text("..."), display_id=True)
    showing = asyncio.create_task(_renew(line, observed))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        line.update(_Text(progress_line(observed, 0.0) if observed.progress else "nothing was asked"))


async def _renew(line: Any, observed: ProgressSource) -> None:
    speed, last = TokenRate(), ""
    while True:
        await asyncio.sleep(TICK)
        text = progress_line(observed, speed(observed))
        if text != last:
            last = text
            line.update(_Text(text))


class _Text:
    """Plain text, shown without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
