"""What the workers did and when: for progress bars, reports and benchmarks. Seconds from the pool's start."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from orchestrator.engines.engine import Load
from orchestrator.schedule.messages import Stepped


@dataclass(slots=True)
class Residency:
    """One expert's stay on one worker."""

    worker: str
    expert: str
    load_start: float
    load_end: float | None = None
    end: float | None = None
    """When its last token came."""
    way: str = ""
    load_seconds: float = 0.0
    busy: float = 0.0
    """Seconds inside the engine's steps."""
    requests: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    submitted: int
    finished: int
    cached: int
    tokens: int
    loads: int
    resident: dict[str, str]
    """Worker -> the expert it holds."""


@dataclass(slots=True)
class Timeline:
    started: float = field(default_factory=time.monotonic)
    stays: list[Residency] = field(default_factory=list)
    losses: list[tuple[str, str]] = field(default_factory=list)
    """(worker, why) of workers that were lost."""
    submitted: int = 0
    finished: int = 0
    cached: int = 0
    tokens: int = 0
    _now: dict[str, Residency] = field(default_factory=dict)

    def load_starts(self, worker: str, expert: str) -> None:
        self._now[worker] = stay = Residency(worker, expert, time.monotonic() - self.started)
        self.stays.append(stay)

    def load_ends(self, worker: str, load: Load) -> None:
        stay = self._now[worker]
        stay.load_end = stay.end = time.monotonic() - self.started
        stay.way, stay.load_seconds = load.way, load.seconds

    def stepped(self, worker: str, event: Stepped) -> None:
        done = len(event.completions) + len(event.failures)
        self.finished += done
        self.tokens += event.tokens
        if stay := self._now.get(worker):
            stay.end = time.monotonic() - self.started
            stay.busy += event.busy
            stay.requests += done
            stay.tokens += event.tokens

    def lost(self, worker: str, why: str) -> None:
        self._now.pop(worker, None)
        if why:
            self.losses.append((worker, why))

    def progress(self) -> Progress:
        resident = {worker: stay.expert for worker, stay in list(self._now.items())}
        loads = sum(stay.load_end is not None for stay in list(self.stays))
        return Progress(self.submitted, self.finished, self.cached, self.tokens, loads, resident)
