"""One chat from request to response: counted, measured, and given up when its client goes away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvent, ChatEvents, ProgressEvent, TextEvent, UsageEvent
from orchestrator.chats.failure_log import log_failure
from orchestrator.chats.sampling_body import SamplingBody
from orchestrator.config import ServiceConfig
from orchestrator.errors import Cancelled, CollegiumError, Overloaded
from orchestrator.service import refusals
from orchestrator.service.completion_body import CompletionBody
from orchestrator.service.metrics import Metrics
from orchestrator.service.model_list import ModelList
from orchestrator.service.protocols import Runtime
from orchestrator.service.replies import ReplyForm, events, failure, whole
from orchestrator.service.scopes import check_model
from orchestrator.service.tracing import Tracing

ALIVE = 10.0
"""Seconds without an event after which a stream says that it is alive: an expert may be loading."""
WAITING = b": waiting\n\n"
T = TypeVar("T")
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]


class Chats:
    """The chats under way: at most `service.queue`."""

    def __init__(self, runtime: Runtime, models: ModelList, metrics: Metrics, tracing: Tracing) -> None:
        self._runtime = runtime
        self._models = models
        self._metrics = metrics
        self._tracing = tracing
        self._running = 0

    async def answer(self, chat: ChatBody, request: Request) -> Response:
        """The response to a chat in OpenAI's chat form. Raises `CollegiumError` for what fails before the first
        text."""
        chat_events = self.events(chat, request)
        form = ReplyForm(chat.model, bool(chat.logprobs), chat.include_usage)
        if chat.stream:
            return EventStream(events(chat_events, form), partial(reply_headers, request))
        body = await until_gone(request.receive, whole(chat_events, form))
        return JSONResponse(body, headers=reply_headers(request))

    def events(self, chat: ChatBody, request: Request, ignored: Iterable[str] = ()) -> ChatEvents:
        """What comes of the chat, counted and measured as it passes, whatever form it is given. `ignored`: fields of
        that form that were left out, besides the chat's own. Raises `Refused` and `Overloaded` where the service
        cannot take it."""
        return self._admitted(chat, request, lambda: self._models.chat_events(chat), ignored)

    def completions(self, body: CompletionBody, request: Request) -> ChatEvents:
        """What comes of text completions: as `events`."""
        return self._admitted(body, request, lambda: self._models.completion_events(body))

    def _admitted(
        self, chat: SamplingBody, request: Request, made: Callable[[], ChatEvents], ignored: Iterable[str] = ()
    ) -> ChatEvents:
        log_fields = request.state.log_fields
        log_fields["model"] = chat.model
        check_model(request.scope, chat.model)
        if self._models.is_expert(chat.model):
            log_fields["experts"] = [chat.model]
        left_out = {*chat.ignored, *ignored, *self._models.left_out(chat)}
        check_strict(left_out, self._runtime.config.service, request)
        log_fields |= {"ignored": sorted(left_out)} if left_out else {}
        if self._runtime.draining:
            raise refusals.Refused(503, "the service is shutting down", code="draining")
        if not self._runtime.started:
            raise refusals.Refused(503, "the service is starting", code="starting")
        if self._running >= self._runtime.config.service.queue:
            raise Overloaded(f"{self._running} chats under way", 1.0)
        return self._watched(made(), chat.model, log_fields)

    async def _watched(
        self, chat_events: ChatEvents, model: str, log_fields: dict[str, Any]
    ) -> AsyncIterator[ChatEvent]:
        """Measures the parts as they pass."""
        metrics, began, first, status = self._metrics, time.perf_counter(), None, "200"
        account: UsageEvent | None = None
        self._running += 1
        metrics.chats.set(self._running)
        span = self._tracing.chat(model)
        try:
            async for event in chat_events:
                if first is None and isinstance(event, TextEvent):
                    first = time.perf_counter() - began
                    metrics.first.labels(model).observe(first)
                    log_fields["first_token_seconds"] = round(first, 4)
                if isinstance(event, ProgressEvent) and "routed" in event.event:
                    log_fields["experts"] = list(event.event["routed"])
                if isinstance(event, UsageEvent):
                    account = event
                    log_fields |= {"experts": list(event.experts), "cost": event.cost}
                yield event
        except CollegiumError as error:
            status = str(error.status)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            status = "499"
            raise
        except BaseException:
            status = "500"
            raise
        finally:
            self._running -= 1
            metrics.chats.set(self._running)
            self._count(model, account, status, time.perf_counter() - began)
            if account is not None:
                log_fields |= {"prompt_tokens": account.prompt_tokens, "completion_tokens": account.completion_tokens}
            log_fields["outcome"] = status
            span.end(account, status)
            await chat_events.aclose()  # type: ignore[attr-defined]  # every source of events is a generator

    def _count(self, model: str, account: UsageEvent | None, status: str, seconds: float) -> None:
        metrics = self._metrics
        if status != "200" or account is None:
            metrics.failed.labels(model, status).inc()
            return
        metrics.seconds.labels(model).observe(seconds)
        metrics.finished.labels(model).inc()
        metrics.prompt_tokens.labels(model).inc(account.prompt_tokens)
        metrics.generation_tokens.labels(model).inc(account.completion_tokens)
        metrics.dollars.labels(model).inc(account.cost or 0.0)
        if account.explanation and account.explanation.get("ranking"):
            for expert in account.explanation["experts"]:
                metrics.routed.labels(model, expert).inc()


class EventStream(Response):
    """Server-sent events. The status waits for the first event, at most `ALIVE` seconds, so that an error before it is
    an ordinary response; later ones are told in the stream. A client that leaves ends the generation."""

    media_type = "text/event-stream"

    def __init__(
        self,
        content: AsyncIterator[bytes],
        headers: Callable[[], Mapping[str, str]] = dict,
        failed: Callable[[dict[str, Any]], bytes] = failure,
    ) -> None:
        """`headers`: asked for with the first event. `failed`: an error's body as an event of the stream."""
        self._content = content
        self._failed = failed
        self.status_code = 200
        self.background = None
        self._first_headers = headers

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client leaves."""
        with contextlib.suppress(Cancelled):  # the request's log line tells it
            await until_gone(receive, self._pass_on(send))

    async def _pass_on(self, send: Send) -> None:
        content = self._content
        async with contextlib.aclosing(content):  # type: ignore[type-var]  # it is a generator
            first = asyncio.ensure_future(anext(content))
            try:
                done, _ = await asyncio.wait([first], timeout=ALIVE)
                if done:
                    first.result()  # raises what an ordinary response tells
                self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **self._first_headers()})
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                try:
                    async for chunk in _kept_alive(first, content):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except Exception as error:
                    log_failure(error, getattr(error, "expert", None), streamed=True)
                    _, body, _ = refusals.of(error)
                    await send({"type": "http.response.body", "body": self._failed(body), "more_body": True})
            finally:
                await _ended(first)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _kept_alive(coming: asyncio.Future[bytes], content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, from the one that is coming on, with a comment whenever none has come for `ALIVE` seconds."""
    try:
        while True:
            if not (await asyncio.wait([coming], timeout=ALIVE))[0]:
                yield WAITING
                continue
            try:
                yield coming.result()
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(content))
    finally:
        await _ended(coming)


async def _ended(coming: asyncio.Future[bytes]) -> None:
    """Nobody waits for it any more: the generator behind it can be closed."""
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)


async def until_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Do the work; cancel it when the client has gone. Raises `Cancelled` then."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Cancelled("the client has gone")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def reply_headers(request: Request) -> dict[str, str]:
    """What was left out, who answered, and what it cost in US dollars where that is known. A stream's headers go with
    its first event: who answers is known then, what it costs is not (the last event's usage has it)."""
    details: Mapping[str, Any] = request.state.log_fields
    found = ignored_header(details.get("ignored", ()))
    experts = [str(name) for name in details.get("experts") or () if str(name).isascii()]
    found |= {"X-Collegium-Experts": ", ".join(experts)} if experts else {}
    if details.get("cost") is not None:
        found["X-Collegium-Cost"] = f"{details['cost']:.10f}".rstrip("0").rstrip(".")
    return found


def check_strict(ignored: Collection[str], service: ServiceConfig, request: Request | None = None) -> None:
    """Raises `Refused` (400) for fields that were left out where the configuration, or the request's header, is
    strict."""
    asked = request is not None and request.headers.get("x-collegium-strict") == "true"
    if ignored and (service.strict or asked):
        first = min(ignored)
        raise refusals.Refused(400, f"{first}: not known here", code="unknown_field", param=first)


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """The response header that names the fields that were left out."""
    plain = [name.encode("ascii", "replace").decode()[:100] for name in names[:50]]
    printable = ["".join(sign if sign.isprintable() and sign != "," else "?" for sign in name) for name in plain]
    return {"X-Collegium-Ignored": ", ".join(printable)} if printable else {}
