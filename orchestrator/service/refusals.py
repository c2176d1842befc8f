"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, without internal detail. What each class
of error is to a client stands in `orchestrator.errors`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import CollegiumError, PromptTooLong

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_TYPES |= {413: "invalid_request_error", 408: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error"}
_NAMED = re.compile(r"([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)(?=: | needs )")
"""The field that a check of the whole body begins its sentence with."""
PROMPT_FIELDS = {
    "/chat/completions": "messages",
    "/completions": "prompt",
    "/responses": "input",
    "/embeddings": "input",
}
"""What the prompt is called, by the end of the path; elsewhere `messages`."""
_PATH = re.compile(r"(?<![\w:/.])(?:~|\.{1,2})?/(?!v1/)(?:[^\s'\",;:()]+)")


class Refused(CollegiumError):
    """A request that the service turns away, with its status."""

    words = None

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def __reduce__(self) -> tuple[Any, ...]:
        return _refused, (self.status, str(self), self.code, self.param)  # it travels between processes


def _refused(status: int, message: str, code: str | None, param: str | None) -> Refused:
    return Refused(status, message, code=code, param=param)


def body(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def of(error: Exception, path: str = "") -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, body and headers for an error. What Collegium did not raise on purpose becomes a 500 without detail.
    `path`: what was asked for, which decides what its prompt is called, and whether the body says `"type": "error"` as
    Anthropic's do."""
    status, found, headers = _of(error, path)
    anthropic = path.rstrip("/").endswith(("/messages", "/messages/count_tokens"))
    return status, {"type": "error", **found} if anthropic else found, headers


def _of(error: Exception, path: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    if isinstance(error, Refused):
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
        return error.status, body(error.status, str(error), error.code, error.param), headers
    if isinstance(error, CollegiumError):
        headers = {} if error.wait is None else {"Retry-After": str(error.wait)}
        return error.status, body(error.status, message_of(error), error.code, _param(error, path)), headers
    return 500, body(500, "internal error; the server's log has it under this request's id", "internal_error"), {}


def _param(error: CollegiumError, path: str) -> str | None:
    """The field that is to blame: a request's fault begins with its name."""
    if isinstance(error, PromptTooLong):
        return next((field for end, field in PROMPT_FIELDS.items() if path.endswith(end)), "messages")
    named = _NAMED.match(str(error)) if error.status == 400 and error.words is None else None
    return named[1] if named else None


def message_of(error: CollegiumError) -> str:
    """Its message for a client: without paths of this machine, addresses of others, and what upstreams said."""
    return error.words if error.words is not None else _PATH.sub("<path>", str(error))[:2000]


def invalid(errors: Sequence[Any]) -> Refused:
    """What Pydantic found wrong with a body, in one sentence that names the field."""
    # Of a union's alternatives the one that went furthest is the one that was meant.
    first = max(errors, key=lambda one: len(one["loc"]))
    where = ".".join(_printable(part) for part in first["loc"] if part != "body" and not _is_type(str(part)))[:200]
    where = "" if first["type"] == "json_invalid" else where  # its place is a number of bytes
    message = _WORDS.get(first["type"]) or str(first["msg"]).removeprefix("Value error, ")[:500]
    if not where and first["type"] == "value_error" and (named := _NAMED.match(message)):
        return Refused(400, message, code="invalid", param=named[1])
    if not where and first["type"] in _WORDS:
        message = f"the request's body: {message}"
    return Refused(400, f"{where}: {message}" if where else message, code="invalid", param=where or None)


_WORDS = {
    "extra_forbidden": "no such field here; leave it out",
    "missing": "is needed",
    "json_invalid": "is not valid JSON",
    "model_attributes_type": "a JSON object is needed",
    "dict_type": "a JSON object is needed",
    "model_type": "a JSON object is needed",
}
"""Pydantic's errors in words for somebody who does not know it."""


def _printable(part: str | int) -> str:
    """A client's key on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(part)[:80])


def _is_type(part: str) -> bool:
    """Whether a part of an error's place names an alternative of a union, and no field."""
    return part in _ALTERNATIVES or "[" in part or part[:1].isupper()


_ALTERNATIVES = frozenset({"str", "constrained-str", "int", "float", "bool"})


def log_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a request's log line says of the error that it was answered with."""
    error = body["error"]
    return {"error": str(error["message"])[:300], "code": error["code"], "param": error["param"]}
