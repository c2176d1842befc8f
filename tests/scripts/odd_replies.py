"""Replies of servers that are odd, or none at all, as the bytes of a whole HTTP response; the connection closes behind
each. `ANSWERS` hold the answer "yes", `FAILURES` say how a client must hear of each of the others."""

from __future__ import annotations

import gzip
import json
from typing import Any

TEXT = "The answer stands here .\nAnswer: yes\nConfidence: 0.9"
USAGE = {"prompt_tokens": 40, "completion_tokens": 9}
WORDS = ("The ", "answer ", "stands ", "here .\n", "Answer: ", "yes\n", "Confidence: 0.9")
ERROR = b'{"error": {"message": "slow down"}}'
JSON = "application/json"


def _http(body: bytes, kind: str = "text/event-stream", status: int = 200, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def _event(body: Any) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


def _part(text: str, index: int = 0, **more: Any) -> bytes:
    return _event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}], **more})


def _end(finish: Any = "stop", index: int = 0, **more: Any) -> bytes:
    return _event({"choices": [{"index": index, "delta": {}, "finish_reason": finish}], **more})


def _whole(message: Any, **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": USAGE, **more}).encode()


DONE = b"data: [DONE]\n\n"
SAID = b"".join(map(_part, WORDS))
GOOD = SAID + _end() + _event({"choices": [], "usage": USAGE}) + DONE
MESSAGE = {"role": "assistant", "content": TEXT}
OTHER = {"index": 1, "message": {"role": "assistant", "content": "Answer: no"}, "finish_reason": "stop"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BOTH = b"".join(_part(word, index) for word in WORDS for index in (1, 0))
LATER, PAST = (f"Retry-After: Wed, 21 Oct {year} 07:28:00 GMT\r\n" for year in (2115, 2015))
PACKED = "Content-Encoding: gzip\r\n"


def _usage(**usage: Any) -> bytes:
    return _http(SAID + _end() + _event({"choices": [], "usage": usage}) + DONE)


ANSWERS = {
    "wrong-type": _http(GOOD, "text/plain"),
    "events-as-json": _http(GOOD, JSON),
    "error-null": _http(_whole(MESSAGE, error=None), JSON),
    "packed": _http(gzip.compress(_whole(MESSAGE)), JSON, more=PACKED),
    "nan-usage": _usage(prompt_tokens=float("nan"), completion_tokens=float("inf"), cost=float("nan")),
    "minus-usage": _usage(prompt_tokens=-40, completion_tokens=-9, cost=-1),
    "boundless-usage": _usage(prompt_tokens=10**30, completion_tokens=10**30, cost=1e300),
    "text-usage": _usage(prompt_tokens="40", completion_tokens=9.0, cost="0.0125"),
    "usage-in-all": _http(
        b"".join(_part(word, usage=USAGE) for word in WORDS) + _end(usage=USAGE) + DONE,
    ),
    "usage-null": _http(b"".join(_part(word, usage=None) for word in WORDS) + _end() + DONE),
    "two-choices": _http(json.dumps({"choices": [OTHER, json.loads(_whole(MESSAGE))["choices"][0]]}).encode(), JSON),
    "two-streams": _http(BOTH + _end(index=1) + _end() + DONE),
    "calls-null": _http(_whole({**MESSAGE, "tool_calls": None}), JSON),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + _http(_whole(MESSAGE), JSON),
    "mark": _http(b"\xef\xbb\xbf" + _whole(MESSAGE), JSON),
    "mark-events": _http(b"\xef\xbb\xbf" + GOOD),
    "done-twice": _http(GOOD + DONE),
    "after-done": _http(GOOD + _part("Answer: no")),
    "half-character": _http(
        b'data: {"choices":[{"delta":{"content":"\\ud83d"},"finish_reason":null}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"\\ude00 \\ud83d "},"finish_reason":null}]}\n\n' + GOOD
    ),
    "other-model": _http(_whole(MESSAGE, model="somebody-else"), JSON),
    "both-line-ends": _http(GOOD.replace(b"\n", b"\r\n")),
    "returns-only": _http(GOOD.replace(b"\n", b"\r")),
    "no-blanks": _http(GOOD.replace(b"data: ", b"data:")),
    "in-parts": _http(_whole({"role": "assistant", "content": [{"type": "text", "text": TEXT}]}), JSON),
    "number-finish": _http(SAID + _end(7) + DONE),
    "same-key-twice": _http(_whole(MESSAGE).replace(b'"content": ', b'"content": "Answer: no", "content": '), JSON),
    "rate-garbage": _http(GOOD, more="x-ratelimit-remaining-requests: many\r\nx-ratelimit-reset-requests: soon\r\n"),
    "foreign-headers": _http(GOOD, more="Set-Cookie: a=b\r\nX-Collegium-Cost: 99\r\nX-Request-Id: theirs\r\n"),
}
_FAILED = {
    "error-text": (502, "upstream_error", _http(b'{"error": "it broke"}', JSON)),
    "detail": (502, "upstream_error", _http(b'{"detail": "bad"}', JSON)),
    "packed-garbage": (502, "upstream_error", _http(b"\x1f\x8b\x08garbage", JSON, more=PACKED)),
    "packed-half": (502, "upstream_error", _http(gzip.compress(_whole(MESSAGE))[:60], JSON, more=PACKED)),
    "packed-unknown": (502, "upstream_error", _http(b"abc", JSON, more="Content-Encoding: br\r\n")),
    "content-null": (502, "upstream_error", _http(_whole({"role": "assistant", "content": None}), JSON)),
    "content-number": (502, "upstream_error", _http(_whole({"role": "assistant", "content": 42}), JSON)),
    "content-object": (502, "upstream_error", _http(_whole({"content": {"text": TEXT}}), JSON)),
    "message-null": (502, "upstream_error", _http(_whole(None), JSON)),
    "blank": (502, "upstream_error", _http(_whole({"role": "assistant", "content": "  \n "}), JSON)),
    "only-thoughts": (502, "upstream_error", _http(_whole({"content": None, "reasoning_content": TEXT}), JSON)),
    "call-unasked": (502, "upstream_error", _http(_whole({"content": None, "tool_calls": [CALL]}), JSON)),
    "redirects-to-itself": (
        502,
        "upstream_refused",
        b"HTTP/1.1 307 X\r\nLocation: /v1/chat/completions\r\nContent-Length: 0\r\n\r\n",
    ),
    "teapot": (502, "upstream_refused", _http(ERROR, JSON, 418)),
    "no-content": (502, "upstream_error", b"HTTP/1.1 204 X\r\n\r\n"),
    "partial": (502, "upstream_error", _http(_whole(MESSAGE), JSON, 206)),
    "limit-date": (
        429,
        "rate_limit_exceeded",
        _http(ERROR, JSON, 429, LATER),
    ),
    "limit-past": (
        429,
        "rate_limit_exceeded",
        _http(ERROR, JSON, 429, PAST),
    ),
    "limit-garbage": (429, "rate_limit_exceeded", _http(ERROR, JSON, 429, "Retry-After: 1e400\r\n")),
    "wide-characters": (502, "upstream_error", _http(_whole(MESSAGE).decode().encode("utf-16"), JSON)),
    "no-characters": (502, "upstream_error", _http(_part("x").replace(b'"x"', b'"\xff"') + GOOD)),
    "deep": (502, "upstream_error", _http(b"[" * 100_000 + b"]" * 100_000, JSON)),
    "deep-object": (502, "upstream_error", _http(b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}", JSON)),
    "event-error": (502, "upstream_error", _http(b'event: error\ndata: {"message": "it broke"}\n\n')),
    "json-lines": (502, "upstream_error", _http(_whole(MESSAGE) + b"\n" + _whole(MESSAGE), "application/x-ndjson")),
    "text": (502, "upstream_error", _http(b'"hello"', JSON)),
    "null": (502, "upstream_error", _http(b"null", JSON)),
    "nothing": (502, "upstream_unreachable", _http(b"", JSON)),
    "too-short": (
        502,
        "upstream_unreachable",
        b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + _whole(MESSAGE),
    ),
    "no-header": (502, "upstream_unreachable", b"HTTP/1.1 200 OK\r\nno header without a colon\r\n\r\n"),
    "other-protocol": (502, "upstream_unreachable", b"SSH-2.0-OpenSSH_9\r\n"),
    "huge-header": (502, "upstream_unreachable", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n"),
    "no-chunk": (502, "upstream_unreachable", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"),
}
FAILURES = {mode: (status, code) for mode, (status, code, _) in _FAILED.items()}
"""Mode -> (status, code) that the client of one expert gets."""
REPLIES = ANSWERS | {mode: raw for mode, (_, _, raw) in _FAILED.items()}
