"""Chat completions from an OpenAI-compatible server, streamed or whole:
https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from orchestrator.errors import CollegiumError, ExpertUnavailable, RequestError, UpstreamError, UpstreamTimeout
from orchestrator.inference.engines.echo import refuse_plain
from orchestrator.inference.engines.openai_body import LIMIT_FIELDS, body, choices_of
from orchestrator.inference.engines.openai_reply import ReplyReader
from orchestrator.inference.engines.upstream_failures import of_event, of_exception, of_status, remaining_requests
from orchestrator.inference.expert import RemoteModel
from orchestrator.inference.request import Delta, Request

MAX_ERROR_BYTES = 65536
DRAIN_SECONDS = 0.2
"""How long the end of a response may follow the end of its reply."""
ALIVE = 5.0
"""Times the longest silence for which a server may go on sending signs of life and nothing else."""
FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""What a line of server-sent events begins with: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
_ENDS = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How patient the engine is; an expert's own `timeout` and `tries` go before these."""

    capacity: int = 64
    """Requests held at once; at least the expert's concurrency."""
    tries: int = 3
    """Attempts in all, where another one may help."""
    first_wait: float = 0.5
    """Seconds before the second attempt; doubled each time, unless the server says how long (Retry-After)."""
    longest_wait: float = 60.0
    """Seconds that batch work waits for a server that says when; interactive callers wait their `max_wait`."""
    connect_seconds: float = 10.0
    read_seconds: float = 120.0
    """Longest silence: before the first byte, and between two."""
    total_seconds: float = 1800.0
    max_reply_bytes: int = 16 * 2**20
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    """Instead of the network, for tests."""


class OpenAIStream:
    """A source of deltas. Its repr and its errors never contain a key."""

    def __init__(self, remote: RemoteModel, context: int, options: RemoteOptions) -> None:
        """`context`: prompt plus reply, tokens. Raises `ExpertUnavailable` for an environment variable that is not
        set."""
        self._remote = remote
        self._context = context
        self._url = endpoint(remote.url)
        self._headers, self._secrets = request_headers(remote)
        self._options = options
        self._client: httpx.AsyncClient | None = None
        self._renamed: str | None = None
        """The field for the longest reply that the server asked for; "": none."""
        self.remaining: tuple[int, float] | None = None
        """(requests, seconds) of the last response's rate limits."""

    def __repr__(self) -> str:
        return f"OpenAIStream({self._url!r}, {self._remote.model!r})"

    async def deltas(self, request: Request) -> AsyncIterator[Delta]:
        """One attempt: the reply as it arrives. Raises what `failure` makes a typed error of."""
        refuse_plain(request, "a server elsewhere is asked in chats only")
        wanted = body(self._remote, self._context, request)
        try:
            async for delta in self._attempt(request, self._limited(wanted)):
                yield delta
        except CollegiumError as error:  # before anything was said: the server refuses a field
            if not self._adapt(wanted, error):
                raise
            async for delta in self._attempt(request, self._limited(wanted)):
                yield delta

    def failure(self, error: Exception) -> CollegiumError:
        """An exception of `deltas` as a typed error whose message names the server, without the keys, whatever the
        server echoed."""
        typed = of_exception(error)
        if type(typed) is RequestError:  # found here, before anything was sent
            return typed
        text_of_error = f"{self._url}: {typed}"
        for secret in self._secrets:
            text_of_error = text_of_error.replace(secret, "***")
        return typed.with_message(text_of_error)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _limited(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The body with the longest reply under the name that the server wants."""
        if self._renamed is None:
            return wanted
        limit = next((wanted[name] for name in LIMIT_FIELDS if name in wanted), None)
        rest = {name: value for name, value in wanted.items() if name not in LIMIT_FIELDS}
        return rest | {self._renamed: limit} if self._renamed and limit is not None else rest

    def _adapt(self, wanted: Mapping[str, Any], error: CollegiumError) -> bool:
        """Whether the server refused `max_tokens` and wants `max_completion_tokens`, which means the same."""
        if error.upstream_status not in (400, 422) or "max_tokens" not in wanted or self._renamed is not None:
            return False
        if "max_completion_tokens" not in str(error):
            return False
        self._renamed = "max_completion_tokens"
        return True

    async def _attempt(self, request: Request, wanted: dict[str, Any]) -> AsyncIterator[Delta]:
        if self._client is None:  # made on the loop that uses it
            self._client = self._connect()
        sampling = request.sampling
        offered = bool(sampling.tools or "tools" in wanted or "functions" in wanted)
        reader = ReplyReader(request.key, choices_of(sampling), may_be_empty=bool(sampling.stop), tools=offered)
        patience = ALIVE * (self._remote.timeout or self._options.read_seconds)
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(patience):
                opening = self._client.stream("POST", self._url, json=wanted)
                response = await stack.enter_async_context(opening)
            self.remaining = remaining_requests(response.headers)
            if response.status_code != 200:
                raise await _refusal(response)
            events = await stack.enter_async_context(contextlib.aclosing(self._events(response, patience)))
            async for event in events:
                if event is None:
                    reader.done = True
                    break
                if error := event.get("error"):
                    raise of_event(error, response.headers)
                if "choices" not in event and event.get("message"):  # vLLM's; `event: error`
                    raise of_event(event, response.headers)
                if delta := reader.take(event):
                    yield delta
            yield reader.end()
            await _drain(events)

    def _connect(self) -> httpx.AsyncClient:
        options, remote = self._options, self._remote
        silence = remote.timeout or options.read_seconds
        many = remote.concurrency
        return httpx.AsyncClient(
            timeout=httpx.Timeout(silence, connect=min(options.connect_seconds, silence), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=many),
            headers={**self._headers, "Accept-Encoding": "identity"},
            transport=options.transport,
        )

    async def _events(self, response: httpx.Response, patience: float) -> AsyncGenerator[dict[str, Any] | None, None]:
        """Each event's JSON, then None if the server said that this is all: [DONE], or one body because it does not
        stream. Which it is, the first byte tells, whatever the content type says."""
        whole: list[bytes] = []
        data: list[bytes] = []
        done = False
        last = time.monotonic()
        async for line in _lines(_plain(response, self._options.max_reply_bytes)):
            if done:  # only read to its end
                continue
            if whole or (line.strip() and not line.startswith(FIELDS)):
                whole.append(line)
            elif line.startswith(b"data:"):
                part = line[5:].strip()
                if part == b"[DONE]":
                    yield None
                    whole, data, done = [], [], True
                else:
                    data.append(part)
            elif not data:
                if time.monotonic() - last > patience:
                    raise UpstreamTimeout(f"nothing but signs of life for {patience:g} s")
            elif not line:  # the event is complete
                last = time.monotonic()
                for event in _parsed(data):
                    yield event
                data = []
        for event in _parsed(data):
            yield event
        if whole:
            yield _object(b"\n".join(whole))
            yield None


def endpoint(url: str) -> str:
    """The address of chat completions below a base URL; a query (Azure's api-version) stays behind it."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    path = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def request_headers(remote: RemoteModel) -> tuple[dict[str, str], tuple[str, ...]]:
    """(the headers to send, the secrets among them). Raises `ExpertUnavailable`."""

    def read(variable: str) -> str:
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ExpertUnavailable(f"the environment variable {variable} is not set")
        if not value.isprintable() or not value.isascii():
            raise ExpertUnavailable(f"the environment variable {variable} holds what cannot stand in a header")
        return value

    headers: dict[str, str] = {}
    secrets = []
    if remote.api_key_env:
        secrets.append(read(remote.api_key_env))
        headers["Authorization"] = f"Bearer {secrets[0]}"
    for name, value in remote.headers:
        headers[name] = read(value[1:]) if value.startswith("$") else value
        secrets += [headers[name]] if value.startswith("$") else []
    return headers, tuple(secrets)


async def _drain(events: AsyncIterator[Any]) -> None:
    """Read what follows the end of a reply, so that its connection serves the next request; a server that keeps the
    response open loses it."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError, CollegiumError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in events:
                pass


async def _refusal(response: httpx.Response) -> CollegiumError:
    raw = b""
    async for chunk in _plain(response, MAX_ERROR_BYTES, cut=True):
        raw += chunk
    try:
        text_of_error: Any = json.loads(raw)
    except (ValueError, RecursionError):
        text = raw[:400].decode("utf-8", "replace")
        text_of_error = "" if text.lstrip().startswith("<") else text
    return of_status(response.status_code, text_of_error, response.headers)


async def _plain(response: httpx.Response, max_bytes: int, *, cut: bool = False) -> AsyncIterator[bytes]:
    """The body, unpacked if it is packed although nobody asked for that, of at most `most` bytes; more is an
    `UpstreamError`, or with `cut` left away."""
    here = response.is_stream_consumed  # as a transport without a network hands it over: read and unpacked
    packing = "" if here else response.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise UpstreamError(f"the reply is packed as {packing[:40]!r}, which nobody asked for")
    unpack = zlib.decompressobj(47) if packing not in ("", "identity") else None
    size = 0
    async for chunk in response.aiter_bytes() if here else response.aiter_raw():
        try:
            plain = unpack.decompress(chunk, max_bytes + 1) if unpack else chunk
        except zlib.error as error:
            raise UpstreamError(f"the reply is not what its content-encoding says: {error}") from None
        size += len(plain)
        if size > max_bytes:
            if cut:
                return
            raise UpstreamError(f"the reply is larger than {max_bytes} bytes")
        yield plain


async def _lines(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their ends (line feed, carriage return, or both) and without a byte order mark; the last one may
    have no end."""
    parts: list[bytes] = []
    returned, begun = False, False
    async for chunk in content:
        if not begun:
            chunk = b"".join([*parts, chunk])
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                parts = [chunk]
                continue
            chunk, parts, begun = chunk.removeprefix(_BOM), [], True
        if returned and chunk.startswith(b"\n"):  # the second half of the last line's end
            chunk = chunk[1:]
        returned = chunk.endswith(b"\r")
        start, *more = _ENDS.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        parts.append(start)
        for line in more:
            yield b"".join(parts)
            parts = [line]
    if last := b"".join(parts):
        yield last


def _parsed(data: list[bytes]) -> list[dict[str, Any]]:
    """The JSON of one event's lines; of each line where a server leaves out the blank ones between its events."""
    if len(data) < 2:
        return [_object(part) for part in data if part]
    try:
        return [_object(b"\n".join(data))]
    except UpstreamError:
        return [_object(part) for part in data if part]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UpstreamError(f"the server sent no JSON: {raw[:80]!r}") from None
    if not isinstance(value, dict):
        raise UpstreamError(f"the server sent no JSON object: {raw[:80]!r}")
    return value
