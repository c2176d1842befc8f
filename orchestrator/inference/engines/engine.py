"""The protocol that every engine keeps, and that one conformance suite tests.

An engine is single-threaded: one thread calls it. It holds one expert's weights at a time, except where the
machine can hold adapters side by side (`beside`). It streams from the first day: a caller that wants only
whole completions joins the deltas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from orchestrator.errors import CollegiumError, RequestError
from orchestrator.inference.engines.schema import StructuredError
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Delta, Request

LoadKind = Literal["resident", "beside", "in_place", "wake", "start"]
"""How an expert was reached, cheapest first."""
NOT_MOVED: frozenset[LoadKind] = frozenset({"resident", "beside"})
"""Ways for which no weights are moved."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine may take. The defaults suit a small machine without a GPU; None: the engine chooses."""

    batch: int = 64
    """Requests generated at once; the engine holds twice as many."""
    kv_gib: float | None = None
    """Memory for the KV cache of one shape, GiB. On a CPU 1; on a GPU a share of what is free."""
    context: int | None = None
    """Longest prompt plus completion, tokens. None: what the first expert of a shape asks for."""
    memory_gib: float | None = None
    """Memory within which engines of further shapes are kept beside the resident one; None: half of the machine."""
    kept_gib: float = 1.0
    """Memory for the ready-made weights of experts that were resident before (CPU)."""
    host_gib: float = 0.0
    """Memory for weight files that were read ahead, from which a card copies at the bus's speed. On a CPU it gains
    nothing."""
    tensor_parallel: int = 1
    side_by_side: bool = False
    """Adapters in one batch beside their base, where the architecture has them: for a GPU (on a CPU it is slow)."""
    apart: bool = False
    """Every shape in a process of its own, as CUDA wants it."""
    vllm: tuple[tuple[str, Any], ...] = ()
    """Further engine arguments of vLLM, by its own names."""
    compile: bool = False
    """Compile the model at start: about a minute more to start, about a quarter more tokens a second (CPU)."""
    canary_tokens: int = 2
    """Length of the greedy continuation that `canary` gives."""
    compare: bool = True
    """Compare a model of a type that nobody has held against transformers, at its first start (vLLM)."""


class FreshProcess(Exception):
    """Raised by `load` when this engine cannot reach the expert soundly: replace its process and load there.

    A signal to the pool, not an error: nothing was changed.
    """


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What reaching an expert took."""

    expert: str
    way: LoadKind
    seconds: float
    bytes: int = 0
    """Of weights read from memory or disk and written into the live model, as the checkpoint stores them. Over the
    seconds it is a bandwidth, to be held against that of the memory, the disk or the bus."""
    uncompared: str = ""
    """Why nobody has held the model's type against transformers on this engine; empty: somebody has."""


def rejected(request: Request, error: Exception) -> Delta:
    """The delta of a request that cannot be answered as it is: what a grammar, a tokenizer or vLLM refuses is that
    request's fault alone. The message begins with the field's name, where it is known, and is one line."""
    if isinstance(error, CollegiumError):
        return Delta(request.key, error=error)
    field = getattr(error, "parameter", None)  # vLLM's errors have it
    text = " ".join(str(error.args[0] if error.args else error).split())[:500] or type(error).__name__
    if isinstance(error, StructuredError) or field == "structured_outputs" or "grammar" in text.lower():
        field, text = "response_format", text.removeprefix("structured output: ")
    return Delta(request.key, error=RequestError(f"{field}: {text}" if field else text))


class Engine(Protocol):
    """Runs one expert's weights at a time. Every engine passes the conformance suite."""

    capacity: int
    """Requests worth holding at once: running ones plus a queue that keeps the batch full."""

    def beside(self, expert: Expert) -> bool:
        """True if `expert` can run in the same batch as the resident one, without a swap."""
        ...

    def load(self, expert: Expert) -> LoadReport:
        """Make `expert` answer from now on. Nothing may be running, unless it is `beside`.

        Checks names, shapes and dtypes before touching live weights, and a canary after. Raises `ExpertError`
        or `FreshProcess` (nothing was changed) or `ExpertFailed` (the engine must be closed).
        """
        ...

    def add(self, request: Request, expert: Expert) -> None:
        """Admit a request for a loaded expert. A bad request (prompt too long, malformed schema) becomes a
        Delta with `error` at the next step; it never raises and never disturbs the others."""
        ...

    def step(self) -> list[Delta]:
        """Run one step; what it added. Returns at once with [] when nothing is unfinished."""
        ...

    def abort(self, key: str) -> None:
        """Forget a request. Unknown and finished keys are ignored; no further delta comes for it."""
        ...

    def read_ahead(self, expert: Expert) -> None:
        """Hint that `expert` comes next: bring its files into memory, off the engine's thread."""
        ...

    def close(self) -> None:
        """Give everything back. Idempotent."""
        ...


@runtime_checkable
class HasCanary(Protocol):
    """An engine that holds weights, and can say what they answer to the canary's prompt."""

    def canary(self) -> list[list[tuple[int, float]]]:
        """Computed anew by the resident model; nothing may be running."""
        ...
