"""Which conversation a call belongs to, and the how-manieth draw of its request this is."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar


class Conversation:
    """One run of a discussion on one question. `id` names question and seed; it is the same in a repeated run."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._draws: Counter[str] = Counter()

    def next_draw(self, base_key: str) -> int:
        """How often this (expert, messages, sampling) occurred here before: so samples of one request differ, and
        a second method that repeats the first one's calls finds its completions in the ledger."""
        draw = self._draws[base_key]
        self._draws[base_key] += 1
        return draw


_current: ContextVar[Conversation | None] = ContextVar("conversation", default=None)


def current() -> Conversation | None:
    return _current.get()


@contextlib.contextmanager
def entered(conversation: Conversation) -> Iterator[Conversation]:
    token = _current.set(conversation)
    try:
        yield conversation
    finally:
        _current.reset(token)
