"""Experts that live elsewhere: an OpenAI-compatible URL, or any LangChain chat model.

Requests run as coroutines on a thread of their own, as many at once as the expert allows; `step` collects what has
arrived. The key comes from the environment, is held by one object whose repr hides it, and is cut out of whatever
a server says before that becomes an error. A reply that has begun is not asked for again: half of it may have been
shown.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExpertError
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.engines.openai_stream import OpenAIStream, RemoteOptions
from orchestrator.inference.engines.schema import parse_structured
from orchestrator.inference.engines.tools import ParsedCall, ToolHistory, spoken
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.request import Delta, Request

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

LANGCHAIN = "langchain:"
"""`Remote.url` may be langchain:package.module:function; the function makes the chat model."""
POLL = 0.02
"""Seconds that `step` waits for something to arrive."""


class RemoteEngine:
    """One remote expert. `chat_models` maps `Remote.model` to a LangChain chat model to ask instead of the URL."""

    def __init__(
        self,
        options: RemoteOptions | None = None,
        chat_models: Mapping[str, BaseChatModel] | None = None,
    ) -> None:
        self.options = options or RemoteOptions()
        self.capacity = self.options.capacity
        self._chat_models = dict(chat_models or {})
        self._expert: Expert | None = None
        self._source: OpenAIStream | _LangChainStream | None = None
        self._arrived: queue.SimpleQueue[Delta] = queue.SimpleQueue()
        self._running: dict[str, Future[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote-engine", daemon=True)
        self._thread.start()
        self._gate: asyncio.Semaphore | None = None

    def beside(self, expert: Expert) -> bool:
        return False

    def load(self, expert: Expert) -> LoadReport:
        """Raises `ExpertError` if the key is not in the environment or the chat model cannot be made."""
        if self._loop.is_closed():
            raise RuntimeError("the engine is closed")
        began = time.perf_counter()
        if self._expert and self._expert.fingerprint == expert.fingerprint:
            return LoadReport(expert.name, "resident", time.perf_counter() - began)
        if self._running:
            raise RuntimeError(f"cannot load {expert.name!r} while requests are running")
        if expert.remote is None:
            raise ExpertError(f"expert {expert.name!r} is not remote")
        source = self._make(expert.name, expert.remote)
        self._drop()
        self._source, self._expert = source, expert
        self._gate = asyncio.Semaphore(max(1, expert.remote.concurrency))
        return LoadReport(expert.name, "start", time.perf_counter() - began)

    def add(self, request: Request, expert: Expert) -> None:
        if self._expert is None or self._expert.fingerprint != expert.fingerprint:
            raise RuntimeError(f"expert {expert.name!r} is not loaded")
        self._running[request.key] = asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def step(self) -> list[Delta]:
        deltas: list[Delta] = []
        while self._running:
            try:
                delta = self._arrived.get(timeout=0 if deltas else POLL)
            except queue.Empty:
                break
            if delta.key in self._running:
                deltas.append(delta)
                if delta.last:
                    del self._running[delta.key]
        return deltas

    def abort(self, key: str) -> None:
        if future := self._running.pop(key, None):
            future.cancel()

    def read_ahead(self, expert: Expert) -> None:
        """Nothing to read."""

    def close(self) -> None:
        if self._loop.is_closed():
            return
        for key in list(self._running):
            self.abort(key)
        self._drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _drop(self) -> None:
        source, self._source, self._expert = self._source, None, None
        if source is not None:
            asyncio.run_coroutine_threadsafe(source.close(), self._loop).result(timeout=10)

    def _make(self, name: str, remote: RemoteModel) -> OpenAIStream | _LangChainStream:
        if remote.model in self._chat_models:
            return _LangChainStream(self._chat_models[remote.model])
        if remote.url.startswith(LANGCHAIN):
            return _LangChainStream(_chat_model(name, remote.url.removeprefix(LANGCHAIN)))
        if not remote.url.startswith(("http://", "https://")):
            raise ExpertError(
                f"expert {name!r}: {remote.url!r} is neither an http(s) URL nor {LANGCHAIN}module:function"
            )
        key = os.environ.get(remote.api_key_env, "") if remote.api_key_env else ""
        if remote.api_key_env and not key:
            raise ExpertError(f"expert {name!r}: set the environment variable {remote.api_key_env} to its key")
        return OpenAIStream(remote, key, self.options)

    async def _answer(self, request: Request) -> None:
        assert self._gate is not None
        assert self._source is not None
        try:
            async with self._gate, asyncio.timeout(self.options.total_seconds):
                async for delta in self._source.deltas(request):
                    self._arrived.put(delta)
                    if delta.last:
                        return
            self._arrived.put(Delta(request.key, error="the reply ended without a reason"))
        except TimeoutError:
            self._arrived.put(Delta(request.key, error=f"no reply within {self.options.total_seconds:g} s"))
        except Exception as error:
            self._arrived.put(Delta(request.key, error=self._source.told(error)))


class _LangChainStream:
    """A LangChain chat model as a source of deltas. A chunk counts as one token where the model counts none."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    async def deltas(self, request: Request) -> AsyncIterator[Delta]:
        from langchain_core.messages import convert_to_messages

        sampling = request.sampling
        model: Any = self._model
        allowed: list[str] | None = None
        if sampling.structured is not None:
            kind, value = parse_structured(sampling.structured)
            if kind != "choice":
                raise ValueError(f"structured output: a LangChain model cannot be held to a {kind}")
            allowed = value
        settings: dict[str, Any] = {"max_tokens": sampling.max_tokens, "temperature": sampling.temperature}
        if sampling.stop:
            settings["stop"] = list(sampling.stop)
        if further := sampling.further:
            raise ValueError(f"{', '.join(further)}: a LangChain chat model cannot be asked for that")
        if sampling.ignore_eos:
            raise ValueError("ignore_eos: a LangChain model cannot be kept from ending")
        tools = ToolHistory.read(sampling.tools)
        if tools.definitions:
            model = model.bind_tools(list(tools.definitions), tool_choice=tools.choice)
        text, tokens, prompt_tokens, counted, whole = "", 0, 0, 0, None
        async for chunk in model.astream(convert_to_messages(tools.messages(request.messages)), **settings):
            if tools.definitions:
                whole = chunk if whole is None else whole + chunk
            usage = getattr(chunk, "usage_metadata", None) or {}
            prompt_tokens = max(prompt_tokens, int(usage.get("input_tokens", 0)))
            counted = max(counted, int(usage.get("output_tokens", 0)))
            piece = chunk.text if isinstance(chunk.text, str) else chunk.text()
            text += piece
            tokens += bool(piece)
            if piece and allowed is None:
                yield Delta(request.key, text=piece, tokens=1)
        if allowed is not None and text.strip() not in allowed:
            raise ValueError(f"the reply {text[:80]!r} is none of the choices")
        rest = text.strip() if allowed is not None else ""
        if calls := [ParsedCall(call["name"], json.dumps(call["args"])) for call in getattr(whole, "tool_calls", ())]:
            rest = ("\n" if text else "") + spoken(calls)
        more = max(0, counted - tokens) if allowed is None else max(counted, tokens)
        yield Delta(request.key, text=rest, tokens=more, prompt_tokens=prompt_tokens, finish_reason="stop")

    def told(self, error: Exception) -> str:
        return f"{type(error).__name__}: {error}"

    async def close(self) -> None:
        """The model is its maker's to close."""


def _chat_model(expert: str, path: str) -> BaseChatModel:
    module, _, name = path.partition(":")
    try:
        model: BaseChatModel = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ExpertError(f"expert {expert!r}: {LANGCHAIN}{path}: {error}") from error
    return model
