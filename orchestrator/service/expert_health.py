"""Which experts have lately failed or been slow. They are asked last, until one caller's probe shows that they are well
again, so that not everybody waits for the same dead expert."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import CollegiumError, ContentFiltered, Overloaded, RequestError

TROUBLES = 2
"""Failures or slow replies in a row after which an expert is asked last."""
REST, MAX_REST = 30.0, 300.0
"""Seconds until it is probed, doubled each time it fails again."""


@dataclass(slots=True)
class _Trouble:
    count: int = 0
    rest: float = REST
    until: float = 0.0
    probing: bool = False
    """A caller finds out whether it is well again."""


class ExpertHealth:
    """One per process. Lives on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def order(self, names: Sequence[str]) -> list[str]:
        """The names in their order, with those in trouble last, the most troubled at the end. An expert whose rest is
        over comes where it stands, for this caller alone: the next ones wait for what this one finds."""
        if not self._troubles:
            return list(names)
        now, well, troubled = self._clock(), [], []
        for name in names:
            trouble = self._troubles.get(name)
            if trouble is None or trouble.count < TROUBLES:
                well.append(name)
            elif trouble.until <= now:
                trouble.until, trouble.probing = now + trouble.rest, True
                well.append(name)
            else:
                troubled.append(name)
        return well + sorted(troubled, key=lambda name: self._troubles[name].count)

    def failed(self, name: str, error: CollegiumError) -> None:
        """An expert failed, unless the request is to blame."""
        if not isinstance(error, (RequestError, ContentFiltered, Overloaded)):
            self.slow(name)

    def slow(self, name: str) -> None:
        """An expert kept a caller waiting."""
        trouble = self._troubles.setdefault(name, _Trouble())
        trouble.count += 1
        if trouble.probing:
            trouble.rest, trouble.probing = min(MAX_REST, 2 * trouble.rest), False
        if trouble.count >= TROUBLES:
            trouble.until = self._clock() + trouble.rest

    def well(self, name: str) -> None:
        """An expert answered in time."""
        if self._troubles:
            self._troubles.pop(name, None)
