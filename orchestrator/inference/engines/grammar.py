"""Structured output: xgrammar says which tokens may come next, for the transformers engine here, for vLLM's there.

https://github.com/mlc-ai/xgrammar, the library that vLLM uses by default. Nothing is compiled on an engine's thread:
`PendingGrammars` holds a request until its grammar was compiled within bounds (`grammar_process`); the others go on.
"""

from __future__ import annotations

import concurrent.futures
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orchestrator.inference.engines.grammar_process import MAX_BLANKS, GrammarProcess, compile_grammar
from orchestrator.inference.engines.schema import StructuredError
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request

if TYPE_CHECKING:
    import torch

KEPT = 64
"""Compiled grammars that are kept."""
WAIT = 0.02
"""Seconds that a step waits for a grammar while there is nothing else to do."""


@functools.lru_cache(maxsize=16)
def json_grammar(schema: str) -> str:
    """The grammar of a JSON schema in EBNF. Raises `RuntimeError` for a schema that xgrammar cannot keep to."""
    import xgrammar

    return str(xgrammar.Grammar.from_json_schema(schema, max_whitespace_cnt=MAX_BLANKS))


class PendingGrammars:
    """Requests that wait for their grammars. The engine's thread calls it; one thread of its own compiles, in turn."""

    def __init__(self, process: GrammarProcess | None = None) -> None:
        self.process = process or GrammarProcess()
        self._thread: ThreadPoolExecutor | None = None
        self._held: dict[str, tuple[Request, Expert, Future[Any]]] = {}
        self._made: OrderedDict[tuple[str, str], Future[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, request: Request, expert: Expert, make: Callable[[str], Any]) -> None:
        """Keep the request until `make(structured)` has come to an end, on another thread."""
        assert request.sampling.structured is not None
        key = (expert.fingerprint, request.sampling.structured)
        if key not in self._made:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammars")
            self._made[key] = self._thread.submit(make, request.sampling.structured)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        self._held[request.key] = request, expert, self._made[key]

    def ready(self, idle: bool) -> Iterator[tuple[Request, Expert, Future[Any]]]:
        """Those whose grammars are made, or refused: its future raises then. `idle`: wait a moment if there is none."""
        if idle and self._held:
            waiting = {future for _, _, future in self._held.values()}
            concurrent.futures.wait(waiting, WAIT, concurrent.futures.FIRST_COMPLETED)
        for key, held in list(self._held.items()):
            if held[2].done():
                del self._held[key]
                yield held

    def drop(self, key: str) -> bool:
        """Forget a request; True if it was here."""
        return self._held.pop(key, None) is not None

    def forget(self) -> None:
        """Other weights, another tokenizer perhaps: what was made is of no use."""
        self._made.clear()

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self._held.clear()
        self._made.clear()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self.process.close()


class Grammars:
    """Compiled grammars of one tokenizer. Made on any thread; `compile` and `check` are for one that may take its
    time."""

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: Sequence[int], process: GrammarProcess) -> None:
        self._tokenizer, self._vocabulary, self._stops = tokenizer, vocabulary, list(stop_ids)
        self._process = process

    def check(self, structured: str) -> None:
        """Raises `GrammarRefused` for what does not compile within bounds, `StructuredError` for what does not."""
        self._process.check(structured, self._info[1])

    def compile(self, structured: str) -> Any:
        """The compiled grammar. Raises as `check`."""
        self.check(structured)
        return compile_grammar(self._compiler, structured)

    def constraint(self, compiled: Any) -> Constraint:
        """A fresh constraint for one reply."""
        import xgrammar

        return Constraint(xgrammar.GrammarMatcher(compiled, override_stop_tokens=self._stops), self._vocabulary)

    @functools.cached_property
    def _info(self) -> tuple[Any, str]:
        """xgrammar's `TokenizerInfo`, and the same as JSON. Raises `StructuredError` where it is not installed."""
        try:
            import xgrammar
        except ImportError as error:
            raise StructuredError("structured output needs the package xgrammar; run `collegium setup`") from error
        info = xgrammar.TokenizerInfo.from_huggingface(
            self._tokenizer, vocab_size=self._vocabulary, stop_token_ids=self._stops
        )
        return info, info.serialize_json()

    @functools.cached_property
    def _compiler(self) -> Any:
        import xgrammar

        return xgrammar.GrammarCompiler(self._info[0])


class Constraint:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        import xgrammar

        self._matcher = matcher
        self._mask = xgrammar.allocate_token_bitmask(1, vocabulary)

    def mask(self, logits: torch.Tensor) -> None:
        """Set the logits (1, vocabulary) of tokens that may not come to minus infinity."""
        import xgrammar

        self._matcher.fill_next_token_bitmask(self._mask)
        xgrammar.apply_token_bitmask_inplace(logits, self._mask.to(logits.device))

    def accept(self, token: int) -> None:
        """Move the grammar on by one token."""
        self._matcher.accept_token(token)
