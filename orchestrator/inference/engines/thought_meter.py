"""A reasoning model's own budget: thoughts take at most so many tokens, the answer as many as were asked for.

When the budget is spent, the engine is told to close the thought: the closing mark is put into the reply as if the
model had written it, and the model goes on with its answer. An expert without `reasoning_tokens` has no meter: its
thoughts count as its reply.
"""

from __future__ import annotations

from typing import Literal

from orchestrator.inference.engines.echo import is_plain
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request
from reasoning.stream import ThoughtSplitter

MAX_CLOSING = 16
"""Tokens that a closing mark takes at most, with the lines around it."""


class ThoughtMeter:
    """Follows one reply, delta by delta."""

    def __init__(self, budget: int, answer: int) -> None:
        """`budget`: tokens that the thought may take; `answer`: tokens that may follow it."""
        self.budget, self.answer = budget, answer
        self._splitter = ThoughtSplitter()
        self._tokens = self._thought = 0
        self._closing = False

    @property
    def room(self) -> int:
        """Tokens that thought, closing mark and answer may take together."""
        return self.budget + MAX_CLOSING + self.answer

    @property
    def closing(self) -> str:
        """What ends the open thought."""
        return f"\n{self._splitter.closing}\n\n"

    def feed(self, text: str, tokens: int) -> Literal["go on", "close", "end"]:
        """What to do after these tokens: go on, close the thought (said once per thought), or end the reply, which is
        full."""
        self._splitter.feed(text)
        self._tokens += tokens
        if self._splitter.replying:
            return "end" if self._tokens - self._thought >= self.answer else "go on"
        if self._splitter.closing:
            self._thought = self._tokens
        spent = self._splitter.thinking and self._thought >= self.budget
        close, self._closing = spent and not self._closing, spent
        return "close" if close else "go on"


def meter_of(request: Request, expert: Expert, room: int) -> ThoughtMeter | None:
    """The meter of a chat request's reply; None: it has none. `room`: tokens that the context has left, of which the
    thought takes at most half where they are scarce. A reply that is held to a structure has no thought."""
    sampling = request.sampling
    if expert.reasoning_tokens is None or sampling.structured is not None or sampling.continue_final:
        return None
    if sampling.ignore_eos or is_plain(request.messages):
        return None
    budget = min(expert.reasoning_tokens, max(room - sampling.max_tokens - MAX_CLOSING, room // 2))
    return ThoughtMeter(budget, sampling.max_tokens)
