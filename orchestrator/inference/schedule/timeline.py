"""What the workers did and when: for progress bars, reports and benchmarks. Seconds from the pool's start."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field

from orchestrator.inference.engines import engine
from orchestrator.inference.schedule.messages import Stepped

SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
MAX_STAYS = 100_000
"""Residencies that are remembered; of more, the older half is forgotten."""


@dataclass(slots=True)
class Histogram:
    """Counts of values, each in the first bucket whose bound it does not pass; the last has none."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float, times: int = 1) -> None:
        """Count a value `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def copy(self) -> Histogram:
        """A copy that later values do not change."""
        return Histogram(self.bounds, list(self.counts), self.total)


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
class PoolProgress:
    """Counts since the pool's start, and which expert each worker holds."""

    submitted: int
    finished: int
    cached: int
    tokens: int
    loads: int
    resident: dict[str, str]
    """Worker -> the expert it holds."""


@dataclass(frozen=True, slots=True)
class PoolTotals:
    """Sums since the pool's start."""

    submitted: int
    finished: int
    cached: int
    tokens: int
    loads: int
    load_seconds: float
    busy: float
    """Seconds inside the engines' steps."""
    losses: int


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """What the workers are doing at one moment."""

    held: dict[str, str | None]
    """Ready worker -> the expert it holds or is going to."""
    kinds: frozenset[str]
    """Kinds of worker of which one is ready."""
    requests: dict[str, tuple[int, int]]
    """Expert that was asked for -> (waiting, running)."""
    totals: PoolTotals
    batches: dict[str, Histogram]
    """Expert -> requests that one engine step moved on."""
    waits: dict[str, Histogram]
    """Expert -> seconds until a request was given to a worker."""


@dataclass(slots=True)
class Timeline:
    """What the workers did and when. Times are seconds since `started`."""

    started: float = field(default_factory=time.monotonic)
    stays: list[Residency] = field(default_factory=list)
    losses: list[tuple[str, str]] = field(default_factory=list)
    """(worker, why) of workers that were lost."""
    uncompared: dict[str, str] = field(default_factory=dict)
    """Expert -> why nobody has compared its type of model with transformers, where nobody has."""
    submitted: int = 0
    finished: int = 0
    cached: int = 0
    tokens: int = 0
    loads: int = 0
    load_seconds: float = 0.0
    busy: float = 0.0
    batches: dict[str, Histogram] = field(default_factory=dict)
    waits: dict[str, Histogram] = field(default_factory=dict)
    _now: dict[str, Residency] = field(default_factory=dict)

    def load_starts(self, worker: str, expert: str) -> None:
        """A worker begins to load an expert."""
        self._now[worker] = stay = Residency(worker, expert, time.monotonic() - self.started)
        self.stays.append(stay)
        if len(self.stays) > MAX_STAYS:  # a service runs for months
            del self.stays[: MAX_STAYS // 2]

    def load_ends(self, worker: str, load: engine.LoadReport) -> None:
        """A worker has loaded an expert."""
        stay = self._now[worker]
        stay.load_end = stay.end = time.monotonic() - self.started
        stay.way, stay.load_seconds = load.way, load.seconds
        if load.uncompared:
            self.uncompared[load.expert] = load.uncompared
        self.loads += 1
        self.load_seconds += load.seconds

    def stepped(self, worker: str, event: Stepped) -> None:
        """A worker's engine took steps."""
        done = len(event.completions) + len(event.failures)
        self.finished += done
        self.tokens += event.tokens
        self.busy += event.busy
        if stay := self._now.get(worker):
            stay.end = time.monotonic() - self.started
            stay.busy += event.busy
            stay.requests += done
            stay.tokens += event.tokens
            sizes = self.batches.setdefault(stay.expert, Histogram(SIZES))
            for size, steps in event.batches:
                sizes.add(size, steps)

    def waited(self, expert: str, seconds: float) -> None:
        """A request waited this many seconds for a worker."""
        if (waits := self.waits.get(expert)) is None:
            waits = self.waits[expert] = Histogram(WAITS)
        waits.add(seconds)

    def lost(self, worker: str, why: str) -> None:
        """A worker is gone; `why` is empty if it was stopped on purpose."""
        self._now.pop(worker, None)
        if why:
            self.losses.append((worker, why))

    def progress(self) -> PoolProgress:
        """Counts until now."""
        resident = {worker: stay.expert for worker, stay in list(self._now.items())}
        return PoolProgress(self.submitted, self.finished, self.cached, self.tokens, self.loads, resident)

    def totals(self) -> PoolTotals:
        """Sums until now."""
        return PoolTotals(
            self.submitted,
            self.finished,
            self.cached,
            self.tokens,
            self.loads,
            self.load_seconds,
            self.busy,
            len(self.losses),
        )
