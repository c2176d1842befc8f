"""What a server's status, its error bodies and a broken connection mean: one of our typed errors.

Statuses: RFC 9110, and 529 (overloaded) as Anthropic and others have it. Error bodies: OpenAI's
`{"error": {"message", "type", "param", "code"}}`, as text alone, or FastAPI's `{"detail": ...}`.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import (
    CollegiumError,
    ContentFiltered,
    PromptTooLong,
    RateLimited,
    RequestError,
    Unreachable,
    UpstreamBusy,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from orchestrator.inference.engines.schema import StructuredError

MAX_MESSAGE = 400
"""Characters of what a server said that an error keeps."""
_TOO_LONG = re.compile(
    r"maximum context length|context[_ ]length[_ ]exceeded|context window|prompt is too long|input is too long|"
    r"too many (?:input )?tokens|exceeds? the (?:model's )?(?:maximum )?context|reduce the length of the messages",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content[_ ](?:filter|policy|management)|responsible ai|safety system", re.IGNORECASE)
_UNPAID = re.compile(r"insufficient[_ ]quota|exceeded your current quota|billing|credit balance", re.IGNORECASE)
_FIELD = re.compile(r"['\"`](temperature|seed|top_p|stop|logprobs|top_logprobs|stream_options|top_k|min_p)['\"`]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def of_status(status: int, error: Any, headers: Mapping[str, str]) -> CollegiumError:
    """`error`: the body's `error`, or whatever the server sent."""
    message, code = message_of(error), _code(error)
    summary = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    after = retry_after(headers)
    marks = f"{code} {message}"
    if status in (408, 504, 522, 524):
        return UpstreamTimeout(summary, upstream_status=status, retry_after=after)
    if status == 429:
        if _UNPAID.search(marks):
            return UpstreamRefused(summary, upstream_status=status)
        return RateLimited(summary, upstream_status=status, retry_after=after)
    if status in (503, 529):
        return UpstreamBusy(summary, upstream_status=status, retry_after=after)
    if status in (409, 425) or status >= 500:
        return UpstreamError(summary, upstream_status=status, retry_after=after)
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(marks)):
        return _too_long(summary, status)
    if status in (400, 403, 422, 451) and _FILTERED.search(marks):
        return ContentFiltered(summary, upstream_status=status)
    if 200 <= status < 300:
        return UpstreamError(f"{summary}: a reply comes with status 200", upstream_status=status)
    if 300 <= status < 400:
        where = headers.get("location", "elsewhere")[:200]
        return UpstreamRefused(f"HTTP {status}: it redirects to {where}: set the expert's url", upstream_status=status)
    return UpstreamRefused(summary + _advice(status, message), upstream_status=status)


def _advice(status: int, message: str) -> str:
    """What the operator may do where a server does not take one of the body's fields."""
    if status not in (400, 422):
        return ""
    if "max_completion_tokens" in message:
        return ": set the expert's max_completion_tokens: true"
    if not (named := _FIELD.search(message)):
        return ""
    return f": if this server never takes it, set the expert's leave_out: [{named[1]}]"


def _too_long(summary: str, status: int | None = None) -> PromptTooLong:
    error = PromptTooLong(f"the prompt is too long: {summary}", upstream_status=status)
    error.words = "the prompt does not fit the expert's context"
    return error


def of_event(error: Any, headers: Mapping[str, str]) -> CollegiumError:
    """An error that a server with status 200 tells in its body or in the middle of its stream."""
    code = error.get("code") if isinstance(error, dict) else None
    status = error.get("status", code) if isinstance(error, dict) else None
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600:
        return of_status(status, error, headers)
    message = message_of(error)
    marks = f"{code} {message}"
    if _TOO_LONG.search(marks):
        return _too_long(message)
    if _FILTERED.search(marks):
        return ContentFiltered(message)
    if "rate_limit" in marks or "rate limit" in marks.lower():
        return RateLimited(message, retry_after=retry_after(headers))
    if "overloaded" in marks.lower():
        return UpstreamBusy(message, retry_after=retry_after(headers))
    return UpstreamError(f"the server reports an error: {message}")


def of_exception(error: Exception) -> CollegiumError:
    """An exception of httpx, or of a LangChain model's own client."""
    import httpx

    if isinstance(error, CollegiumError):
        return error
    if isinstance(error, StructuredError):
        return RequestError(f"response_format: {str(error).removeprefix('structured output: ')}")
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(status, int):
        body = getattr(error, "body", None)
        return of_status(status, body if isinstance(body, dict) else summary, getattr(response, "headers", None) or {})
    if isinstance(error, (httpx.TimeoutException, TimeoutError)) or "Timeout" in type(error).__name__:
        return UpstreamTimeout(summary)
    if isinstance(error, (httpx.TransportError, ConnectionError, OSError)) or "Connection" in type(error).__name__:
        return Unreachable(summary)
    return UpstreamError(summary)


def message_of(error: Any) -> str:
    """What a server says was wrong, on one bounded line."""
    if isinstance(error, dict):
        inner = error.get("error", error)
        if isinstance(inner, dict):
            inner = inner.get("message") or inner.get("detail") or inner
        error = inner
    return " ".join(str(error or "")[: 4 * MAX_MESSAGE].split())[:MAX_MESSAGE]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or Retry-After in seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("retry-after")
    if header is None:
        return None
    seconds = _number(header)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def remaining_requests(headers: Mapping[str, str]) -> tuple[int, float] | None:
    """(requests that the server still allows, seconds until it allows all again), by `x-ratelimit-*`; the scarcer of
    requests and tokens. None where it does not say."""
    for kind in ("requests", "tokens"):
        left = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
        reset = _duration(headers.get(f"x-ratelimit-reset-{kind}"))
        if left is not None and left < 1 and reset is not None:
            return 0, reset
    left, reset = (
        _number(headers.get("x-ratelimit-remaining-requests")),
        _duration(headers.get("x-ratelimit-reset-requests")),
    )
    return (int(left), reset) if left is not None and reset is not None else None


def _duration(text: str | None) -> float | None:
    """Seconds of `6m0s`, `20ms`, `1.5`; a moment (ISO or epoch) is no duration."""
    number = _number(text)
    if number is not None:
        return number if number < 86400 else None
    parts = _DURATION.findall(text or "")
    if not parts or "".join(f"{amount}{unit}" for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def _code(error: Any) -> str:
    inner = error.get("error", error) if isinstance(error, dict) else None
    found = (inner.get("code"), inner.get("type")) if isinstance(inner, dict) else ()
    return " ".join(str(part) for part in found if part is not None)[:200]
