"""Which experts have lately failed or been slow. They are asked last, until one caller's probe shows that they are well
again, so that not everybody waits for the same dead expert."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.errors import BudgetExceeded, CollegiumError, ContentFiltered, Overloaded, RequestError

TROUBLES = 2
"""Failures or slow replies in a row after which an expert is asked last."""
REST, MAX_REST = 30.0, 300.0
"""Seconds until it is probed, doubled each time it fails again."""
FIRST_HELD, BROKEN_HELD = 1, 5
"""Replies that are held back to their end before an expert's text is passed on as it comes: of one that has not yet
given any, and of one whose reply broke off."""


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
        self._held: dict[str, int] = {}
        """Expert -> replies that are still held back."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """(expert, code) -> replies that it did not give."""
        self.not_asked: Counter[str] = Counter()
        """Expert -> calls that were refused while it was cut off or paused."""
        self.slows: Counter[str] = Counter()
        """Expert -> times that another one was asked, too, since it kept silent."""
        self._cut_off: dict[str, float] = {}
        """Expert -> until when its circuit breaker is open."""

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
        self.count(name, error)
        if not isinstance(error, (RequestError, ContentFiltered, Overloaded, BudgetExceeded)):
            self._trouble(name)

    def count(self, name: str, error: CollegiumError) -> None:
        """Remember a failure, and nothing more: the caller asked for this expert alone."""
        self.failures[name, error.code or "failed"] += 1
        self.not_asked[name] += error.not_asked
        if error.cut_off is not None:
            self._cut_off[name] = self._clock() + error.cut_off

    def answered(self, name: str) -> None:
        """An expert answered: its circuit breaker is closed."""
        self._cut_off.pop(name, None)

    def cut_off(self) -> dict[str, float]:
        """Experts whose circuit breaker is open -> seconds until one caller's request probes them; 0 once that is
        due."""
        now = self._clock()
        return {name: max(0.0, until - now) for name, until in self._cut_off.items()}

    def slow(self, name: str) -> None:
        """An expert kept a caller waiting."""
        self.slows[name] += 1
        self._trouble(name)

    def _trouble(self, name: str) -> None:
        trouble = self._troubles.setdefault(name, _Trouble())
        trouble.count += 1
        if trouble.probing:
            trouble.rest, trouble.probing = min(MAX_REST, 2 * trouble.rest), False
        if trouble.count >= TROUBLES:
            trouble.until = self._clock() + trouble.rest

    def holds(self, name: str) -> bool:
        """Whether the expert's replies may break off: what was shown of one cannot be taken back."""
        return self._held.get(name, FIRST_HELD) > 0

    def broke_off(self, name: str) -> None:
        """A reply of the expert ended before its end."""
        self._held[name] = BROKEN_HELD

    def troubled(self) -> dict[str, int]:
        """Experts that are asked last, and their failures in a row."""
        return {name: one.count for name, one in self._troubles.items() if one.count >= TROUBLES}

    def well(self, name: str) -> None:
        """An expert answered in time."""
        self.answered(name)
        self._held[name] = max(0, self._held.get(name, FIRST_HELD) - 1)
        if self._troubles:
            self._troubles.pop(name, None)
