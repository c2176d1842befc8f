"""Progress of a pool as one line of text, for terminals and notebooks."""

from __future__ import annotations

import time
from typing import Protocol

from orchestrator.config import Config
from orchestrator.inference.schedule.timeline import PoolProgress

MEASUREMENTS = 20
"""Over which the speed is taken."""


class ProgressSource(Protocol):
    """Whose workers are watched: a `Collegium`."""

    @property
    def config(self) -> Config:
        """Its configuration."""
        ...

    @property
    def engine(self) -> str:
        """The engine of its local experts."""
        ...

    @property
    def progress(self) -> PoolProgress | None:
        """What the workers are doing; None before the first question."""
        ...

    @property
    def step(self) -> str:
        """What the pipeline does now, in its own words; empty where it does not say."""
        ...


class TokenRate:
    """Tokens a second over the last few calls."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def __call__(self, observed: ProgressSource) -> float:
        """Tokens a second, from the calls before to this one; 0 at the first."""
        progress = observed.progress
        self._seen.append((time.monotonic(), progress.tokens if progress else 0))
        self._seen = self._seen[-MEASUREMENTS:]
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start else 0.0


def progress_line(observed: ProgressSource, speed: float) -> str:
    """The pipeline's step, replies of all, those from the ledger, tokens a second (0: left out), resident experts,
    loads."""
    progress, step = observed.progress, [observed.step] if observed.step else []
    if progress is None or not (progress.resident or progress.finished or progress.cached):
        return step[0] if step else f"starting {observed.config.workers.count} worker(s) with {observed.engine} ..."
    total = progress.submitted + progress.cached
    parts = [*step, f"{progress.finished + progress.cached}/{total} replies"]
    if progress.cached:
        parts.append(f"{progress.cached} from the ledger")
    if speed:
        parts.append(f"{speed:,.0f} tokens/s")
        parts.append("now " + ", ".join(sorted(set(progress.resident.values()))))
    parts.append(f"{progress.loads} loads")
    return " · ".join(parts)
