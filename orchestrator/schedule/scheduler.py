"""Which worker serves which queue next: a plain state machine without Ray, threads or a clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.schedule.request import Request


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds throughout."""

    quiet: float = 0.005
    swap_cost: float = 0.5
    start_cost: float = 20.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Orders for one worker: load the queue's expert first if `load`, then add the requests."""

    worker: str
    queue: str
    requests: list[Request]
    load: bool


class Scheduler:
    """A queue is what one residency serves: one expert, or a base with all adapters that run beside it.

    Times are seconds of any monotonic clock, given by the caller with every event.
    """

    def __init__(self, policy: Policy | None = None) -> None: ...

    # Who and what there is.
    def declare(self, queue: str, *, kind: str, shape: str) -> None:
        """Announce a queue, before anything is submitted to it. Workers of the same `kind` serve it; between queues of one `shape` a
        worker swaps (cheap), between shapes it starts anew (dear). Idempotent."""

    def join(self, worker: str, *, kind: str, capacity: int, now: float) -> None:
        """A worker is ready; it holds at most `capacity` requests at once."""

    def lost(self, worker: str, now: float) -> list[Request]:
        """A worker is gone: its requests go back to the heads of their queues, in order; they are returned."""
        return []

    def drop(self, queue: str) -> list[Request]:
        """Give up on a queue (its expert failed): its waiting requests are removed and returned."""
        return []

    # What happened.
    def submit(self, queue: str, requests: Iterable[Request], now: float) -> None: ...

    def loaded(self, worker: str, seconds: float, now: float) -> None:
        """The worker reached its queue's expert; `seconds` teaches the cost of that way."""

    def delivered(self, worker: str, keys: Iterable[str], now: float) -> None:
        """These requests have left the worker (finished, failed or aborted)."""

    def withdraw(self, key: str, now: float) -> str | None:
        """The caller gave up: a waiting request is forgotten (None); a running one's worker is named, to abort it on."""
        return None

    def activity(self, now: float) -> None:
        """A caller is busy (has just been handed something, is late): quiet starts anew."""

    def open(self, conversation: str) -> None: ...

    def close(self, conversation: str) -> None: ...

    # What to do.
    def tick(self, now: float) -> list[Assignment]:
        return []

    def next_tick(self, now: float) -> float | None:
        """When `tick` must be called again if nothing happens before; None: only after an event."""
        return None

    def following(self, worker: str) -> str | None:
        """The queue this worker would go to next, for read-ahead."""
        return None

    def wait_estimate(self, queue: str, now: float) -> float:
        """Seconds until a request submitted now would reach a worker, as far as measured costs tell."""
        return 0.0
