"""A sense of whether callers are busy: whether their event loops have run all that was ready.

A ping is passed through each loop; its pong comes back once everything that was ready before has run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class CallerLoops:
    """Knows the loops that callers live on. A loop that is closed, or not running, has nobody to wait for."""

    def __init__(self, home: asyncio.AbstractEventLoop, answered: Callable[[], None]) -> None:
        """`answered` is called on `home` when the last outstanding ping has come back."""
        self._home = home
        self._answered = answered
        self._loops: set[asyncio.AbstractEventLoop] = set()
        self._pinged: set[asyncio.AbstractEventLoop] = set()

    def seen(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Remember a caller's loop."""
        if loop is not None:
            self._loops.add(loop)

    @property
    def outstanding(self) -> bool:
        """Whether some loop that runs has not come to what it was asked."""
        return any(loop.is_running() for loop in self._pinged)

    def ping(self) -> bool:
        """Ask every loop for a sign of idleness. False if there is no loop to ask."""
        closed = {loop for loop in self._loops if loop.is_closed()}
        self._loops -= closed
        self._pinged -= closed
        for loop in self._loops - self._pinged:
            with contextlib.suppress(RuntimeError):  # closed at this very moment
                if loop.is_running():
                    loop.call_soon_threadsafe(self._pong, loop)
                    self._pinged.add(loop)
        return self.outstanding

    def _pong(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the pool is closed
            self._home.call_soon_threadsafe(self._back, loop)

    def _back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pinged.discard(loop)
        if not self.outstanding:
            self._answered()
