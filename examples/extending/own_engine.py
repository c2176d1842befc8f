"""An engine of your own: answers every prompt with its last word. Real ones call a runtime where `step` is.

workers: {engine: "own_engine:make"}
"""

from __future__ import annotations

from collections import deque

from orchestrator.inference.engines.engine import EngineOptions, LoadReport
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Delta, Request


class LastWord:
    """The protocol `Engine`, in full. One thread calls it."""

    capacity = 64

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()

    def beside(self, expert: Expert) -> bool:
        return False

    def load(self, expert: Expert) -> LoadReport:
        return LoadReport(expert.name, "start", 0.0)

    def add(self, request: Request, expert: Expert) -> None:
        self._waiting.append(request)

    def step(self) -> list[Delta]:
        if not self._waiting:
            return []
        request = self._waiting.popleft()
        words = request.messages[-1][1].split()
        return [Delta(request.key, words[-1], 1, prompt_tokens=len(words), finish_reason="stop")]

    def abort(self, key: str) -> None:
        self._waiting = deque(request for request in self._waiting if request.key != key)

    def read_ahead(self, expert: Expert) -> None:
        pass

    def close(self) -> None:
        pass


def make(options: EngineOptions) -> LastWord:
    """Called once on each worker."""
    return LastWord()
