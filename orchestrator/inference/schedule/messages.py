"""What the pool and its workers say to each other: orders in, events out. All of it pickles."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import CollegiumError
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, Request


@dataclass(frozen=True, slots=True)
class Switch:
    """Load this expert, once everything before has left the engine."""

    expert: Expert


@dataclass(frozen=True, slots=True)
class Add:
    """Order: take in these requests."""

    requests: tuple[tuple[Request, Expert], ...]


@dataclass(frozen=True, slots=True)
class Abort:
    """Order: forget the requests with these keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """Order: bring this expert's files into memory."""

    expert: Expert


@dataclass(frozen=True, slots=True)
class Stop:
    """Order: end the worker."""


WorkerOrder = Switch | Add | Abort | ReadAhead | Stop


@dataclass(frozen=True, slots=True)
class Ready:
    """Event: the engine is built and holds `capacity` requests."""

    capacity: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """Event: an expert was loaded."""

    load: LoadReport


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The expert could not be loaded. `error`: it cannot be used, and the engine goes on. `fresh`: nothing is wrong
    with it, it wants a process of its own. `broken`: the engine cannot go on, the process must be replaced."""

    expert: str
    message: str
    error: CollegiumError | None = None
    fresh: bool = False
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """One request failed; the others go on."""

    key: str
    error: CollegiumError


@dataclass(frozen=True, slots=True)
class Broken:
    """The engine raised in the middle of its work: the process must be replaced."""

    message: str


@dataclass(frozen=True, slots=True)
class Stepped:
    """What came of one or more engine steps. Deltas only of requests that asked to stream."""

    deltas: tuple[Delta, ...]
    completions: tuple[Completion, ...]
    failures: tuple[Failed, ...]
    busy: float
    """Seconds spent inside `Engine.step` since the last such event."""
    tokens: int
    """Completion tokens generated since the last such event."""
    batches: tuple[tuple[int, int], ...] = ()
    """(requests that one engine step moved on, how many such steps there were) since the last such event."""


WorkerEvent = Ready | Loaded | LoadFailed | Broken | Stepped
