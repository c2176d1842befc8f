"""Which conversation a call belongs to, and the how-manieth draw of its request this is."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar


class ConversationScope:
    """One run of a discussion on one question. Question id and seed are the same in a repeated run, so its draws
    are found in the ledger; another seed draws anew. It remembers every request it drew, about 200 bytes each."""

    def __init__(self, id: str, seed: int = 0) -> None:
        self.id = id
        self.seed = seed
        self._draws: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next_draw(self, request: str) -> int:
        """How often this (expert, messages, sampling), given as its key, occurred here before. So samples of one
        request differ, and a second method that repeats the first one's calls meets its completions. Thread-safe."""
        with self._lock:
            draw = self._draws[request]
            self._draws[request] += 1
        return draw


_current: ContextVar[ConversationScope | None] = ContextVar("conversation", default=None)


def current() -> ConversationScope | None:
    """The conversation that this task belongs to, if any."""
    return _current.get()


@contextlib.contextmanager
def entered(conversation: ConversationScope) -> Iterator[ConversationScope]:
    """Within it, requests belong to `conversation`."""
    token = _current.set(conversation)
    try:
        yield conversation
    finally:
        _current.reset(token)
