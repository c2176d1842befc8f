"""Streaming chat completions from an OpenAI-compatible server: https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from orchestrator.inference.engines.engine import PROMPT_TOO_LONG
from orchestrator.inference.engines.schema import parse_structured
from orchestrator.inference.engines.tools import MAX_CALLS, ParsedCall, ToolHistory, spoken
from orchestrator.inference.expert import RemoteModel
from orchestrator.inference.request import Delta, FinishReason, Request, Sampling, TokenLogprob

FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "stop"}


class RemoteError(Exception):
    """The server refused, or said something that cannot be understood."""


class _TryAgain(Exception):
    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    capacity: int = 64
    tries: int = 5
    """Attempts in all, for 408, 409, 429, 5xx and broken connections."""
    first_wait: float = 0.5
    """Seconds before the second attempt; doubled each time, unless the server says how long (Retry-After)."""
    longest_wait: float = 60.0
    connect_seconds: float = 10.0
    read_seconds: float = 120.0
    """Longest silence in the middle of a reply."""
    total_seconds: float = 1800.0
    max_reply_bytes: int = 16 * 2**20
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    """Instead of the network, for tests."""


class OpenAIStream:
    """A source of deltas. Its repr and its errors never contain the key."""

    def __init__(self, remote: RemoteModel, key: str, options: RemoteOptions) -> None:
        self._model = remote.model
        self._url = f"{remote.url.rstrip('/')}/chat/completions"
        self._key = key
        self._options = options
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"OpenAIStream({self._url!r}, {self._model!r})"

    async def deltas(self, request: Request) -> AsyncIterator[Delta]:
        """The reply as it arrives. Raises what `told` turns into words."""
        body = _body(self._model, request)
        unwrapped = _choices(request.sampling)
        for attempt in range(self._options.tries):
            begun = False
            try:
                async for delta in self._attempt(request.key, body, unwrapped):
                    begun = True
                    yield delta
                return
            except (_TryAgain, httpx.TransportError) as error:
                if begun or attempt + 1 == self._options.tries:
                    raise
                after = error.after if isinstance(error, _TryAgain) else None
                wait = self._options.first_wait * 2**attempt if after is None else after
                await asyncio.sleep(min(wait, self._options.longest_wait))

    def told(self, error: Exception) -> str:
        """The error in words, without the key, whatever the server echoed."""
        name = "" if isinstance(error, (RemoteError, _TryAgain, ValueError)) else f"{type(error).__name__}: "
        text = f"{name}{error}" if str(error) else type(error).__name__
        text = text.replace(self._key, "***") if self._key else text
        return text if text.startswith(PROMPT_TOO_LONG) else f"{self._url}: {text[:500]}"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _attempt(self, key: str, body: dict[str, Any], choices: list[str] | None) -> AsyncIterator[Delta]:
        if self._client is None:  # made on the loop that uses it
            options = self._options
            timeout = httpx.Timeout(options.read_seconds, connect=options.connect_seconds, pool=None)
            self._client = httpx.AsyncClient(timeout=timeout, transport=options.transport)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with self._client.stream("POST", self._url, json=body, headers=headers) as response:
            if response.status_code != 200:
                await self._refused(response)
            reply = _Reply(key, choices)
            async for event in self._events(response):
                for delta in reply.take(event):
                    yield delta
            yield reply.end()

    async def _events(self, response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
        """The JSON of each `data:` line until [DONE]."""
        size, buffer = 0, b""
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._options.max_reply_bytes:
                raise RemoteError(f"the reply is larger than {self._options.max_reply_bytes} bytes")
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                event = _object(data)
                if "error" in event:
                    raise RemoteError(_message(event))
                yield event

    async def _refused(self, response: httpx.Response) -> None:
        raw = b""
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > 65536:
                break
        body: dict[str, Any] = {}
        with contextlib.suppress(RemoteError):
            body = _object(raw)
        message = _message(body) or raw[:200].decode("utf-8", "replace")
        status = response.status_code
        if status in (408, 409, 429) or status >= 500:
            raise _TryAgain(f"HTTP {status}: {message}", _seconds(response.headers.get("Retry-After")))
        error = body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code == "context_length_exceeded" or "maximum context length" in message:
            raise RemoteError(f"{PROMPT_TOO_LONG}: {message}")
        raise RemoteError(f"HTTP {status}: {message}")


class _Reply:
    """Puts a reply's events together. With `choices` the text is held back and must be one of them; calls of tools
    come last, as text."""

    def __init__(self, key: str, choices: list[str] | None) -> None:
        self._key = key
        self._choices = choices
        self._text = ""
        self._tokens = 0
        self._calls: dict[int, tuple[list[str], list[str]]] = {}
        """Number -> parts of its name and of its arguments."""
        self._usage: dict[str, Any] = {}
        self._finish: FinishReason | None = None

    def take(self, event: dict[str, Any]) -> list[Delta]:
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return []
        choice = choices[0]
        delta = choice.get("delta") or {}
        text = delta.get("content") or ""
        self._take_calls(delta.get("tool_calls"))
        logprobs = _logprobs(choice.get("logprobs"))
        if reason := choice.get("finish_reason"):
            self._finish = FINISHES.get(reason)
            if self._finish is None:
                raise RemoteError(f"the server ended the reply: {str(reason)[:80]}")
        if not text and not logprobs:
            return []
        tokens = len(logprobs) or 1
        self._tokens += tokens
        if self._choices is not None:
            self._text += text
            return []
        return [Delta(self._key, text=text, tokens=tokens, logprobs=logprobs)]

    def end(self) -> Delta:
        if self._finish is None:
            raise RemoteError("the reply broke off")
        counted = self._usage.get("completion_tokens")
        # A server may put several tokens in one event: what it says in the end is added with the last delta.
        missing = max(0, counted - self._tokens) if isinstance(counted, int) else 0
        text, tokens = "", missing
        if self._choices is not None:
            text, tokens = _chosen(self._text, self._choices), self._tokens + missing
        elif self._calls:
            calls = [
                ParsedCall("".join(name), "".join(arguments)) for _, (name, arguments) in sorted(self._calls.items())
            ]
            text = ("\n" if self._tokens else "") + spoken(calls)
        prompt_tokens = self._usage.get("prompt_tokens")
        return Delta(
            self._key,
            text=text,
            tokens=tokens,
            prompt_tokens=prompt_tokens if isinstance(prompt_tokens, int) else 0,
            finish_reason=self._finish,
        )

    def _take_calls(self, parts: Any) -> None:
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            number, function = part.get("index", 0), part.get("function")
            if not isinstance(number, int) or (number not in self._calls and len(self._calls) >= MAX_CALLS):
                raise RemoteError(f"a reply with more than {MAX_CALLS} calls of tools, or calls without numbers")
            call = self._calls.setdefault(number, ([], []))
            for said, key in zip(call, ("name", "arguments"), strict=True):
                if isinstance(function, dict) and isinstance(function.get(key), str):
                    said.append(function[key])


def _body(model: str, request: Request) -> dict[str, Any]:
    sampling = request.sampling
    tools = ToolHistory.read(sampling.tools)
    body: dict[str, Any] = {
        "model": model,
        "messages": tools.messages(request.messages),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling.further,
    }
    if tools.definitions:
        body["tools"] = list(tools.definitions)
        body |= {"tool_choice": tools.choice} if tools.choice is not None else {}
        body |= {"parallel_tool_calls": tools.parallel} if tools.parallel is not None else {}
    if sampling.temperature > 0:
        body["seed"] = request.seed
    if sampling.ignore_eos:
        body["ignore_eos"] = True
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if sampling.structured is not None:
        kind, value = parse_structured(sampling.structured)
        if kind == "regex":
            raise ValueError("structured output: OpenAI's interface has no regular expressions")
        schema = value if kind == "json" else _choice_schema(value)
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    return body


def _choice_schema(choices: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": choices}},
        "required": ["choice"],
        "additionalProperties": False,
    }


def _choices(sampling: Sampling) -> list[str] | None:
    if sampling.structured is None:
        return None
    kind, value = parse_structured(sampling.structured)
    return list(value) if kind == "choice" else None


def _chosen(text: str, choices: list[str]) -> str:
    """The choice in {"choice": ...}, or the bare text of a server that ignores schemas."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text.strip()
    if isinstance(value, dict):
        value = value.get("choice")
    if value not in choices:
        raise RemoteError(f"the reply {text[:80]!r} is none of the choices")
    return str(value)


def _logprobs(block: Any) -> tuple[TokenLogprob, ...]:
    content = block.get("content") if isinstance(block, dict) else None
    return tuple(
        TokenLogprob(
            str(entry["token"]),
            float(entry["logprob"]),
            tuple((str(other["token"]), float(other["logprob"])) for other in entry.get("top_logprobs") or ()),
        )
        for entry in content or ()
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise RemoteError(f"not JSON: {raw[:80]!r}") from None
    if not isinstance(value, dict):
        raise RemoteError(f"not a JSON object: {raw[:80]!r}")
    return value


def _message(body: dict[str, Any]) -> str:
    error = body.get("error")
    return str(error.get("message", error) if isinstance(error, dict) else error or "")[:400]


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
