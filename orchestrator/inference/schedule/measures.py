"""What the scheduler learns while it runs: costs of the ways to an expert, seconds a request, patience."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Literal

SwitchKind = Literal["swap", "wake", "start"]
"""From the worker's shape to the same; to one it has held before; to one it has never held."""


class SwitchCosts:
    """Seconds that each way to an expert takes: the median of its last seven measurements.

    A way that is not yet measured for a shape is guessed from other shapes, then from the defaults.
    """

    def __init__(self, *, swap: float, start: float) -> None:
        self._defaults: dict[SwitchKind, float] = {"swap": swap, "wake": swap, "start": start}
        self._seen: dict[tuple[SwitchKind, str | None], deque[float]] = {}
        self._medians: dict[tuple[SwitchKind, str | None], float] = {}

    def of(self, way: SwitchKind, shape: str) -> float:
        """Seconds that a switch of this kind to this shape takes: the median of the last seven, or the default."""
        found = self._medians.get((way, shape))
        if found is None:
            found = self._medians.get((way, None), self._defaults[way])
        return found

    def learn(self, way: SwitchKind, shape: str, seconds: float) -> None:
        """Add the seconds of one switch."""
        for key in ((way, shape), (way, None)):
            seen = self._seen.setdefault(key, deque(maxlen=7))
            seen.append(seconds)
            self._medians[key] = median(seen)


class Rate:
    """Seconds of a full worker that one request takes; forgets slowly (half every few hundred requests).

    A few first measurements say little (an engine's first replies come after a while, then many at once), so that
    what was expected keeps the weight of eight requests.
    """

    __slots__ = ("_requests", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._requests = 0.0

    def learn(self, seconds: float, requests: int) -> None:
        """Add the seconds that some requests took."""
        self._seconds += seconds
        self._requests += requests
        if self._requests > 512:
            self._seconds /= 2
            self._requests /= 2

    def value(self, expected: float) -> float:
        """Seconds per request; `expected` counts as much as eight requests."""
        return (self._seconds + 8 * expected) / (self._requests + 8)


class Patience:
    """How much of one swap's cost to wait: all of it at first, half as much each time that was in vain.

    It never falls below a sixteenth: a wait that short is still tried, so that patience can be learnt anew.
    """

    __slots__ = ("share",)

    def __init__(self) -> None:
        self.share = 1.0

    def rewarded(self) -> None:
        """Wait longer next time: the callers came back."""
        self.share = min(1.0, self.share * 2)

    def in_vain(self) -> None:
        """Wait less next time: nobody came back."""
        self.share = max(1 / 16, self.share / 2)
