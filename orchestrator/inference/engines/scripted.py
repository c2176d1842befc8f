"""The engine without a model: replies come from a Python function. For our tests and for users' own.

It behaves like a real engine (continuous batching of bounded width, one token a step and request, an in-place
load within a shape and a start between shapes), sleeps only if asked to, and is deterministic. What it does
not do: a prompt has as many tokens as words, and a token is a word with the white space before it.

Faults: a script that raises fails its request and no other (with its error, if that is one of ours); a script that
calls `os._exit` or `os.kill(os.getpid(), signal.SIGKILL)` takes its worker's process with it.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from orchestrator.errors import CollegiumError, ExpertError, ExpertFailed, PromptTooLong, RequestError
from orchestrator.inference.engines.echo import Echo
from orchestrator.inference.engines.engine import FreshProcess, LoadKind, LoadReport, rejected
from orchestrator.inference.engines.schema import StructuredError, parse_structured, smallest_instance
from orchestrator.inference.engines.tools import plain_messages
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import (
    PROMPT_IDS,
    Delta,
    FinishReason,
    PromptMessage,
    Request,
    Sampling,
    TokenChoice,
    TokenLogprob,
)

Script = Callable[[Sequence[PromptMessage], int], str]
"""(messages, seed) -> reply. The seed is the request's, equal for equal requests and draws; 0 at temperature 0. Tools
and their calls are told as texts (`ToolHistory.plain`)."""

MATCH_SECONDS = 1.0
_TOKEN = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class ScriptedOptions:
    """How the engine that plays a real one behaves."""

    batch: int = 32
    """Requests that get a token in one step."""
    capacity: int = 64
    load_seconds: float = 0.0
    """Slept for an in-place load."""
    start_seconds: float = 0.0
    """Slept for the first load and for a load of another shape."""
    step_seconds: float = 0.0
    one_shape: bool = False
    """Raise `FreshProcess` for a second shape, as an engine that cannot hold two does."""
    side_by_side: bool = False
    """Experts of the resident one's shape run beside it, as adapters do on a GPU."""


def echo(messages: Sequence[PromptMessage], seed: int) -> str:
    """The default script: the last message's content."""
    return messages[-1][1] if messages else ""


class ScriptedEngine:
    """Answers with `Expert.script`, else with `script`, which is `echo` unless given."""

    def __init__(self, options: ScriptedOptions | None = None, script: Script = echo) -> None:
        self.options = options or ScriptedOptions()
        self.capacity = self.options.capacity
        self._script = script
        self._resident: Expert | None = None
        self._scripts: dict[str, Script] = {}
        self._waiting: deque[tuple[Request, Expert]] = deque()
        self._running: dict[str, _Reply] = {}
        self._closed = False

    def beside(self, expert: Expert) -> bool:
        """See `Engine`."""
        resident = self._resident
        return bool(resident and self.options.side_by_side and resident.shape == expert.shape)

    def load(self, expert: Expert) -> LoadReport:
        """Raises `ExpertError` if `Expert.script` names no function."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        began = time.perf_counter()
        way = self._way(expert)
        if way in ("in_place", "start") and (self._waiting or self._running):
            raise RuntimeError(f"cannot load {expert.name!r} while requests are running")
        if way == "start" and self._resident and self.options.one_shape:
            raise FreshProcess(f"{expert.name!r} has another shape than {self._resident.name!r}")
        script = self._script if expert.script is None else _function(expert.name, expert.script)
        if way == "in_place":
            _sleep(self.options.load_seconds)
        elif way == "start":
            _sleep(self.options.start_seconds)
        if way != "beside":
            self._scripts.clear()
            self._resident = expert
        self._scripts[expert.fingerprint] = script
        return LoadReport(expert.name, way, time.perf_counter() - began)

    def add(self, request: Request, expert: Expert) -> None:
        """See `Engine`."""
        if expert.fingerprint not in self._scripts:
            raise RuntimeError(f"expert {expert.name!r} is not loaded")
        self._waiting.append((request, expert))

    def step(self) -> list[Delta]:
        """See `Engine`."""
        deltas: list[Delta] = []
        while self._waiting and len(self._running) < self.options.batch:
            request, expert = self._waiting.popleft()
            reply = _begin(request, expert, self._scripts[expert.fingerprint])
            if isinstance(reply, Delta):
                deltas.append(reply)
            else:
                self._running[request.key] = reply
        if self._running:
            _sleep(self.options.step_seconds)
        for key, reply in list(self._running.items()):
            delta = reply.next()
            deltas.append(delta)
            if delta.last:
                del self._running[key]
        return deltas

    def abort(self, key: str) -> None:
        """See `Engine`."""
        self._running.pop(key, None)
        self._waiting = deque(entry for entry in self._waiting if entry[0].key != key)

    def read_ahead(self, expert: Expert) -> None:
        """Nothing to read."""

    def close(self) -> None:
        """See `Engine`."""
        self._closed = True
        self._resident = None
        self._waiting.clear()
        self._running.clear()

    def _way(self, expert: Expert) -> LoadKind:
        if not self._resident:
            return "start"
        if self._resident.fingerprint == expert.fingerprint:
            return "resident"
        if self.beside(expert):
            return "beside"
        return "in_place" if self._resident.shape == expert.shape else "start"


class _Reply:
    """A reply on its way out, a token a step."""

    def __init__(self, request: Request, text: str, prompt_tokens: int, room: int) -> None:
        for stop in request.sampling.stop:
            text = text.split(stop, 1)[0]
        tokens = _TOKEN.findall(text)
        limit = min(request.sampling.max_tokens, room)
        if request.sampling.ignore_eos and tokens:
            tokens = list(itertools.islice(itertools.cycle(tokens), limit + 1))
        self.request, self.prompt_tokens = request, prompt_tokens
        self.finish: FinishReason = "length" if len(tokens) > limit else "stop"
        self.tokens: deque[str] = deque(tokens[:limit])
        self._echo = _echo(request)
        self._asked = None if request.sampling.echo else request.sampling.prompt_logprobs

    def next(self) -> Delta:
        token = self.tokens.popleft() if self.tokens else None
        last = not self.tokens
        delta = Delta(
            key=self.request.key,
            text=token or "",
            tokens=int(token is not None),
            logprobs=() if token is None else _logprobs(token, self.request.sampling.logprobs),
            prompt_tokens=self.prompt_tokens if last else 0,
            finish_reason=self.finish if last else None,
        )
        asked, self._asked = self._asked, None
        if asked is not None:
            delta = replace(delta, prompt=tuple(_choices(self.request, asked)))
        echo, self._echo = self._echo, None
        return echo.before(delta) if echo else delta


def _echo(request: Request) -> Echo | None:
    if not request.sampling.echo:
        return None
    text, logprobs = request.messages[0][1], request.sampling.logprobs
    tokens = [one for token in _TOKEN.findall(text) for one in _logprobs(token, logprobs)]
    first = tuple(TokenLogprob(one.token, 0.0) for one in tokens[:1])
    return Echo(text, (*first, *tokens[1:]), alone=request.sampling.max_tokens < 1)


def _choices(request: Request, count: int) -> Iterator[tuple[TokenChoice, ...]]:
    """As `PromptLogprobs`; a word's id is its checksum."""
    words = _TOKEN.findall("".join(content for _, content in request.messages))
    for place, word in enumerate(words):
        likely = _logprobs(word, max(count, 1))[0].top if place else ()
        yield tuple((crc32(text.encode()), text, chance, rank) for rank, (text, chance) in enumerate(likely, start=1))


def _begin(request: Request, expert: Expert, script: Script) -> _Reply | Delta:
    messages: Sequence[PromptMessage] = request.messages
    if messages and messages[0][0] == PROMPT_IDS:
        return Delta(request.key, error=RequestError("prompt: a script has no token ids; send a text"))
    if request.sampling.tools is not None:
        messages = plain_messages(request.sampling.tools, messages)
    prompt_tokens = sum(len(content.split()) for _, content in messages)
    if prompt_tokens >= expert.context:
        message = f"the prompt is too long: {prompt_tokens} tokens, {expert.name!r} holds {expert.context}"
        return Delta(request.key, error=PromptTooLong(message))
    seed = request.seed if request.sampling.temperature > 0 else 0
    try:
        text = script(messages, seed)
    except Exception as error:
        ours = error if isinstance(error, CollegiumError) else ExpertFailed(f"{type(error).__name__}: {error}")
        return Delta(request.key, error=ours)
    try:
        text = _constrained(text, request.sampling, seed)
    except StructuredError as error:
        return rejected(request, error)
    return _Reply(request, text, prompt_tokens, room=expert.context - prompt_tokens)


def _constrained(text: str, sampling: Sampling, seed: int) -> str:
    """The script's text if it keeps to the structure asked for, else something small that does."""
    if sampling.structured is None:
        return text
    kind, value = parse_structured(sampling.structured)
    if kind == "choice":
        return text if text in value else str(value[seed % len(value)])
    if kind == "regex":
        if not _matches(value, text):
            raise StructuredError(f"the script's reply {text[:80]!r} does not match {value!r}")
        return text
    if kind == "grammar":
        raise StructuredError("response_format: a script cannot be held to a grammar")
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(smallest_instance(value))
    return text


def _matches(expression: str, text: str) -> bool:
    """False too for what would backtrack without an end."""
    import regex

    try:
        return bool(regex.fullmatch(expression, text, timeout=MATCH_SECONDS))
    except (TimeoutError, regex.error):
        return False


def _logprobs(token: str, count: int | None) -> tuple[TokenLogprob, ...]:
    """The chosen token has probability 0.9, alternatives share the rest, each a tenth of the one before."""
    if count is None:
        return ()
    likely = [
        (token, math.log(0.9)),
        *((f"{token}~{i}", math.log(0.9) - i * math.log(10)) for i in range(1, count)),
    ]
    return (TokenLogprob(token, math.log(0.9), tuple(likely[:count])),)


def _function(expert: str, path: str) -> Script:
    module, colon, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name) if colon else None
    except (ImportError, AttributeError) as error:
        raise ExpertError(f"expert {expert!r}: script {path!r}: {error}") from error
    if not callable(found):
        raise ExpertError(f"expert {expert!r}: script {path!r} is not of the form package.module:function")
    script: Script = found
    return script


def _sleep(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)
