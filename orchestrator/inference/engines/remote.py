"""Experts that live elsewhere: an OpenAI-compatible URL, or any LangChain chat model.

Requests run as coroutines on a thread of their own, as many at once as the expert allows; `step` collects what has
arrived. Keys come from the environment, are held by one object whose repr hides them, and are cut out of whatever a
server says before that becomes an error. A reply that is streamed and has begun is not asked for again: half of it
may have been shown. `Admission` decides when a server may be asked at all.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import CollegiumError, ExpertError, ExpertUnavailable, RateLimited, UpstreamTimeout
from orchestrator.inference.engines.admission import Admission
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.engines.langchain_stream import LANGCHAIN, LangChainStream, chat_model
from orchestrator.inference.engines.openai_stream import OpenAIStream, RemoteOptions
from orchestrator.inference.expert import Expert, RemoteModel
from orchestrator.inference.request import Delta, Request

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

POLL = 0.002
"""Seconds that `step` waits for something to arrive; new requests wait as long."""


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
        self._source: OpenAIStream | LangChainStream | None = None
        self._arrived: queue.SimpleQueue[Delta] = queue.SimpleQueue()
        self._running: dict[str, Future[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote-engine", daemon=True)
        self._thread.start()
        self._admission: Admission | None = None

    def beside(self, expert: Expert) -> bool:
        """See `Engine`: a remote expert has the engine to itself."""
        return False

    def load(self, expert: Expert) -> LoadReport:
        """Raises `ExpertUnavailable` if a key is not in the environment, `ExpertError` if the chat model cannot be
        made."""
        if self._loop.is_closed():
            raise RuntimeError("the engine is closed")
        began = time.perf_counter()
        if self._expert and self._expert.fingerprint == expert.fingerprint:
            return LoadReport(expert.name, "resident", time.perf_counter() - began)
        if self._running:
            raise RuntimeError(f"cannot load {expert.name!r} while requests are running")
        if expert.remote is None:
            raise ExpertError(f"expert {expert.name!r} is not remote")
        source = self._make(expert, expert.remote)
        self._drop()
        self._source, self._expert = source, expert
        self._admission = Admission(expert.remote.concurrency)
        return LoadReport(expert.name, "start", time.perf_counter() - began)

    def add(self, request: Request, expert: Expert) -> None:
        """See `Engine`."""
        if self._expert is None or self._expert.fingerprint != expert.fingerprint:
            raise RuntimeError(f"expert {expert.name!r} is not loaded")
        self._running[request.key] = asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def step(self) -> list[Delta]:
        """See `Engine`."""
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
        """See `Engine`."""
        if future := self._running.pop(key, None):
            future.cancel()

    def read_ahead(self, expert: Expert) -> None:
        """Nothing to read."""

    def close(self) -> None:
        """See `Engine`."""
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

    def _make(self, expert: Expert, remote: RemoteModel) -> OpenAIStream | LangChainStream:
        name = expert.name
        if remote.model in self._chat_models:
            return LangChainStream(self._chat_models[remote.model])
        if remote.url.startswith(LANGCHAIN):
            return LangChainStream(chat_model(name, remote.url.removeprefix(LANGCHAIN)))
        if not remote.url.startswith(("http://", "https://")):
            raise ExpertError(
                f"expert {name!r}: {remote.url!r} is neither an http(s) URL nor {LANGCHAIN}module:function"
            )
        try:
            return OpenAIStream(remote, expert.context, self.options)
        except ExpertUnavailable as error:
            raise ExpertUnavailable(f"expert {name!r}: {error}") from None

    async def _answer(self, request: Request) -> None:
        """Ask until there is a reply, or another attempt does not help."""
        assert self._source is not None
        assert self._admission is not None
        assert self._expert is not None
        try:
            async with asyncio.timeout(self.options.total_seconds):
                await self._attempts(request, self._source, self._admission)
        except TimeoutError:
            self._fail(request, UpstreamTimeout(f"no reply within {self.options.total_seconds:g} s"))
        except CollegiumError as error:
            self._fail(request, error)
        except Exception as error:
            self._fail(request, self._source.failure(error))

    async def _attempts(self, request: Request, source: OpenAIStream | LangChainStream, admission: Admission) -> None:
        options, interactive = self.options, request.max_wait is not None
        longest = math.inf if request.max_wait is None else request.max_wait
        patience = min(options.longest_wait, longest)
        assert self._expert is not None
        remote = self._expert.remote
        tries = (remote and remote.tries) or options.tries
        for attempt in range(tries):
            await admission.enter(patience, longest, interactive=interactive, caller=request.caller)
            begun = False
            try:
                parts: list[Delta] = []
                async for delta in source.deltas(request):
                    if request.stream:
                        begun = True
                        self._arrived.put(delta)
                    else:
                        parts.append(delta)
            except asyncio.CancelledError:
                admission.abandon()
                raise
            except Exception as error:
                failure = source.failure(error)
                last = begun or attempt + 1 == tries or not failure.retry or isinstance(failure, UpstreamTimeout)
                pause = options.first_wait * 2**attempt if failure.retry_after is None else failure.retry_after
                last = last or pause > patience
                admission.leave(failure, final=last)
                if last:
                    raise failure from None
                if not isinstance(failure, RateLimited):  # that one's pause is the admission's
                    await asyncio.sleep(pause)
            else:
                admission.leave(None)
                if source.remaining is not None:
                    admission.remaining(*source.remaining)
                if not request.stream:
                    self._arrived.put(_joined(parts))
                return

    def _fail(self, request: Request, error: CollegiumError) -> None:
        name = self._expert.name if self._expert else request.expert
        self._arrived.put(Delta(request.key, error=error.with_message(f"expert {name!r}: {error}")))


def _joined(parts: list[Delta]) -> Delta:
    """A whole reply as one delta."""
    last = parts[-1]
    return replace(
        last,
        text="".join(part.text for part in parts),
        tokens=sum(part.tokens for part in parts),
        logprobs=tuple(logprob for part in parts for logprob in part.logprobs),
        reasoning="".join(part.reasoning for part in parts),
    )
