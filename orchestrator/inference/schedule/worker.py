"""A worker: one engine on a thread of its own. Orders go in, events come out, a message an engine step.

Plain Python: `host` runs it in this process or inside a Ray actor. It knows no queue, conversation or ledger.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.errors import CollegiumError, ExpertError, ExpertFailed, ExpertUnavailable
from orchestrator.inference.engines.engine import Engine, FreshProcess
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, PromptLogprobs, Request, TokenLogprob, UpstreamUsage
from orchestrator.inference.schedule.messages import (
    Abort,
    Add,
    Broken,
    Failed,
    Loaded,
    LoadFailed,
    ReadAhead,
    Ready,
    Stepped,
    Stop,
    Switch,
    WorkerEvent,
    WorkerOrder,
)
from reasoning.stream import ThoughtSplitter, without_opened_thought

MakeEngine = Callable[[], Engine]


@dataclass(slots=True)
class _Running:
    request: Request
    started: float
    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tokens: int = 0
    prompt_tokens: int = 0
    prompt: PromptLogprobs = ()
    thinking: ThoughtSplitter = field(default_factory=ThoughtSplitter)
    thought_tokens: int = 0
    """Tokens of thoughts that stood in the text; shared by length where one delta holds both."""

    def separated(self, delta: Delta) -> Delta:
        """The delta with its thoughts apart from its text."""
        text, thought = self.thinking.feed(delta.text, last=delta.last)
        if thought:
            self.thought_tokens += round(delta.tokens * len(thought) / (len(thought) + len(text)))
        return replace(delta, text=text, reasoning=delta.reasoning + thought) if text != delta.text else delta

    def completion(self, delta: Delta, now: float) -> Completion:
        """The finished reply; `delta` is its last one and says why it ended."""
        assert delta.finish_reason is not None
        text, reasoning, usage, counted = "".join(self.text), "".join(self.reasoning), delta.usage, self.thought_tokens
        if not reasoning and self.request.sampling.structured is None:
            whole = len(text)
            text, reasoning = without_opened_thought(text)
            counted = round(self.tokens * len(reasoning) / whole) if reasoning else 0
        if counted and (usage is None or not usage.reasoning_tokens):
            usage = replace(usage or UpstreamUsage(), reasoning_tokens=min(counted, self.tokens))
        return Completion(
            delta.key,
            _storable(text),
            delta.finish_reason,
            self.prompt_tokens,
            self.tokens,
            tuple(self.logprobs),
            now - self.started,
            reasoning=_storable(reasoning),
            usage=usage,
            prompt=self.prompt,
        )


class Worker:
    """Drives an engine. `emit` is called from the worker's thread with each message of events."""

    def __init__(self, make_engine: MakeEngine, emit: Callable[[list[WorkerEvent]], None]) -> None:
        self._make_engine = make_engine
        self._emit = emit
        self._orders: queue.SimpleQueue[WorkerOrder] = queue.SimpleQueue()
        self._running: dict[str, _Running] = {}
        self._loaded: set[str] = set()
        self._busy = 0.0
        self._tokens = 0
        self._batches: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def order(self, orders: list[WorkerOrder]) -> None:
        """Hand orders to the worker's thread."""
        for order in orders:
            self._orders.put(order)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the worker's thread to end, `timeout` seconds at most."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            engine = self._make_engine()
        except BaseException as error:  # SystemExit, too: the pool would wait for ever
            self._emit([Broken(_error_text(error))])
            return
        try:
            self._emit([Ready(engine.capacity)])
            self._loop(engine)
        except BaseException as error:
            self._emit([Broken(_error_text(error))])
        finally:
            engine.close()

    def _loop(self, engine: Engine) -> None:
        while True:
            while not self._running or not self._orders.empty():
                order = self._orders.get()
                if isinstance(order, Stop) or not self._obey(engine, order):
                    return
            started = time.perf_counter()
            deltas = engine.step()
            self._report(deltas, time.perf_counter() - started)

    def _obey(self, engine: Engine, order: WorkerOrder) -> bool:
        match order:
            case Add(requests):
                for request, expert in requests:
                    self._add(engine, request, expert)
            case Abort(keys):
                for key in keys:
                    if self._running.pop(key, None):
                        engine.abort(key)
            case ReadAhead(expert):
                engine.read_ahead(expert)
            case Switch(expert):
                return self._switch(engine, expert)
        return True

    def _add(self, engine: Engine, request: Request, expert: Expert) -> None:
        if expert.fingerprint not in self._loaded:
            try:
                if not engine.beside(expert):
                    return  # its load failed, and the pool has heard so
                engine.load(expert)
            except (ExpertError, ExpertUnavailable) as error:
                self._emit([Stepped((), (), (Failed(request.key, error),), 0.0, 0)])
                return
            self._loaded.add(expert.fingerprint)
        self._running[request.key] = _Running(request, time.perf_counter())
        engine.add(request, expert)

    def _switch(self, engine: Engine, expert: Expert) -> bool:
        try:
            load = engine.load(expert)
            self._loaded = {expert.fingerprint}
            self._emit([Loaded(load)])
        except FreshProcess as reason:
            self._emit([LoadFailed(expert.name, str(reason), fresh=True)])
            return False
        except (ExpertError, ExpertUnavailable) as error:
            self._emit([LoadFailed(expert.name, str(error), error)])
        except Exception as error:
            self._emit([LoadFailed(expert.name, _error_text(error), broken=True)])
            return False
        return True

    def _report(self, deltas: list[Delta], busy: float) -> None:
        streamed: list[Delta] = []
        completions: list[Completion] = []
        failures: list[Failed] = []
        for arrived in deltas:
            running = self._running.get(arrived.key)
            if running is None:
                continue
            delta = running.separated(arrived)
            running.text.append(delta.text)
            running.logprobs.extend(delta.logprobs)
            running.tokens += delta.tokens
            running.prompt_tokens = delta.prompt_tokens or running.prompt_tokens
            running.reasoning.append(delta.reasoning)
            running.prompt = delta.prompt or running.prompt
            if running.request.stream:
                streamed.append(delta)
            if not delta.last:
                continue
            del self._running[delta.key]
            if delta.error is not None or delta.finish_reason is None:
                failures.append(Failed(delta.key, delta.error or ExpertFailed("the engine gave no reason")))
                continue
            completions.append(running.completion(delta, time.perf_counter()))
        self._busy += busy
        self._tokens += sum(delta.tokens for delta in deltas)
        if deltas:
            self._batches[len(deltas)] += 1
        if streamed or completions or failures:
            event = Stepped(
                tuple(streamed),
                tuple(completions),
                tuple(failures),
                self._busy,
                self._tokens,
                tuple(self._batches.items()),
            )
            self._busy, self._tokens = 0.0, 0
            self._batches.clear()
            self._emit([event])


def _storable(text: str) -> str:
    """Half of a surrogate pair, as JSON from a remote model may hold, is no Unicode text and cannot be stored."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _error_text(error: BaseException) -> str:
    if isinstance(error, CollegiumError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    place = f" ({os.path.basename(where.filename)}:{where.lineno})" if where else ""
    return f"{type(error).__name__}: {error}{place}"
