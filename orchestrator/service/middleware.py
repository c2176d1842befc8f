"""The middleware that every request passes: request id, who is asking, limits on body and time, one log line, metrics.

Plain ASGI, so that streams pass through untouched. The application behind it sees `scope["state"]["key"]` and
`scope["state"]["request_id"]`.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from orchestrator.chats.failure_log import request_id
from orchestrator.config import ServiceConfig
from orchestrator.errors import Cancelled, ConfigError
from orchestrator.inference.caller import caller
from orchestrator.service import refusals
from orchestrator.service.accounts import ANYONE
from orchestrator.service.keys import Key, KeyLimits, Keys
from orchestrator.service.metrics import Metrics
from orchestrator.service.refusals import Refused

AsgiMessage = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

QUIET = frozenset({"/health", "/health/ready", "/metrics"})
"""Paths that are not logged: machines ask for them every few seconds."""
LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
EXPOSED = (
    "X-Request-Id", "X-Collegium-Ignored", "X-Collegium-Experts", "X-Collegium-Cost", "Retry-After",
    "X-RateLimit-Limit-Requests",
    "X-RateLimit-Remaining-Requests", "X-RateLimit-Reset-Requests",
)  # fmt: skip
"""Response headers that web pages of other origins may read."""
GONE = 499
"""The status, in log and metrics, of a request whose client left before its end."""
_ONCE = frozenset({b"authorization", b"x-api-key", b"api-key", b"host"})
_TOO_LARGE = "the request's body is too large"
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_log = logging.getLogger("collegium.requests")


class Middleware:
    """Wraps an application. Whatever goes wrong inside, the client gets an error in OpenAI's form."""

    def __init__(
        self,
        app: App,
        settings: Callable[[], ServiceConfig],
        keys: Keys,
        metrics: Metrics,
        roots: Collection[str] = (),
    ) -> None:
        """`settings`: as they are now; `roots`: first parts of the paths under /v1, which are found without it too."""
        config = settings()
        self.app = app
        self._roots = frozenset(roots)
        self._entry: App = self._http
        if config.cors:
            self._entry = CORSMiddleware(
                self._http, config.cors, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED
            )
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._limits = KeyLimits()
        self._most = int(config.body_mib * 2**20)
        self._most_file = int(config.file_mib * 2**20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass HTTP on through the checks; close websockets."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._entry(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._straighten(scope)
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        given = headers.get("x-request-id", "")
        visit = _Visit(scope, given if _ID.fullmatch(given) else f"req-{secrets.token_hex(12)}", send)
        key: Key | None = None
        request_id.set(visit.id)
        try:
            _unambiguous(scope)
            state = scope.setdefault("state", {})
            state["request_id"], state["keyless"] = visit.id, not self._needed()
            state["key"] = key = None if state["keyless"] else self._key(headers, visit)
            caller.set(key.id if key else ANYONE)
            if state["keyless"]:
                _only_from_here(scope, headers)
            limit = self._most_file if scope["path"].endswith("/v1/files") else self._most
            await self.app(scope, _Bounded(receive, headers, limit, self._settings().body_seconds), visit.send)
        except Cancelled:
            visit.status, visit.log_fields["outcome"] = GONE, "the client has gone"
        except Exception as error:
            if not isinstance(error, Refused):
                logging.getLogger("collegium").exception("request %s failed", visit.id)
            await visit.refuse(error)
        finally:
            if key is not None:
                self._limits.leave(key)
            self._metrics.request(visit.path, visit.status, visit.seconds)
            if scope["path"] not in QUIET:
                self._note(visit, key)

    def _straighten(self, scope: Scope) -> None:
        """Paths as people write them: with a slash at the end, and without /v1. What a route needs stands on the route,
        so that no spelling leads around it."""
        prefix = scope.get("root_path", "")
        path = scope["path"].removeprefix(prefix)
        if len(path) > 1 and path.endswith("/"):
            path = path.rstrip("/")
        if path[1:].partition("/")[0] in self._roots:
            path = f"/v1{path}"
        if prefix + path != scope["path"]:
            scope["path"], scope["raw_path"] = prefix + path, (prefix + path).encode()

    def _needed(self) -> bool:
        """Whether requests need a key. Raises `Refused` (503) while the file of keys is damaged."""
        try:
            return self._keys.needed
        except ConfigError as error:
            _damage(error)
            raise Refused(503, "the file of API keys cannot be read; the server's log says why", code="keys") from error

    def _key(self, headers: dict[str, str], visit: _Visit) -> Key | None:
        """Whose request this is; None without a key, for routes that are open. Raises `Refused` for a wrong key, and
        where the key's limits are reached."""
        given = headers.get("authorization")
        if given is not None:
            scheme, _, text = given.partition(" ")
            text = text.strip() if scheme.lower() == "bearer" else ""
        else:  # as Anthropic's and Azure's clients send it
            text = headers.get("x-api-key") or headers.get("api-key") or ""
            if not text:
                return None
        key = self._keys.find(text) if text else None
        if key is None:
            raise Refused(401, "this API key is not valid", code="invalid_api_key")
        now = time.monotonic()
        wait = self._limits.enter(key, now)
        visit.headers |= self._limits.headers(key, now)
        if wait is not None:
            raise _TooMany(wait)
        return key

    def _note(self, visit: _Visit, key: Key | None) -> None:
        if (form := self._settings().log) == "none":
            return
        line = {
            "time": time.time(),
            "request_id": visit.id,
            "method": visit.method,
            "path": visit.path[:200],
            "status": visit.status,
            "seconds": round(visit.seconds, 4),
            "key": key.id if key else None,
            **visit.log_fields,
        }
        if form == "json":
            _log.info(json.dumps(line))
        else:
            _log.info(" ".join(f"{name}={json.dumps(value)}" for name, value in line.items() if name != "time"))


class _TooMany(Refused):
    def __init__(self, wait: float) -> None:
        super().__init__(429, "this key's limit is reached; try again later", code="rate_limit")
        self.pause = max(1, round(wait + 0.5))


class _Visit:
    """One request on its way through."""

    def __init__(self, scope: Scope, id: str, send: Send) -> None:
        self.id = id
        self.method = scope["method"]
        self.path = scope["path"]
        self.status = 0
        self.log_fields: dict[str, Any] = scope.setdefault("state", {}).setdefault("log_fields", {})
        """What the application wants in the log line."""
        self.headers: dict[str, str] = {"x-request-id": id}
        """What every response to it has."""
        self._started = time.perf_counter()
        self._send = send

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    async def send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = ((name.encode(), value.encode()) for name, value in self.headers.items())
            message["headers"] = [*message.get("headers", ()), *more]
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        if self.status:
            return  # the response has begun: the connection breaks off
        status, body, headers = refusals.of(error, self.path)
        self.log_fields |= refusals.log_fields(body)
        if isinstance(error, _TooMany):
            headers = {"Retry-After": str(error.pause)}
        content = json.dumps(body).encode()
        raw = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if status in (408, 413):
            raw.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self._send({"type": "http.response.body", "body": content})


class _Bounded:
    """Receives a body of bounded size in bounded time. Raises `HTTPException`, which FastAPI lets pass."""

    def __init__(self, receive: Receive, headers: dict[str, str], max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._left = max_bytes
        self._until = time.monotonic() + seconds
        self._whole = False
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > max_bytes:
            self._left = -1

    async def __call__(self) -> AsgiMessage:
        if self._whole:
            return await self._receive()
        if self._left < 0:
            raise HTTPException(413, _TOO_LARGE)
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the request's body came too slowly") from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, _TOO_LARGE)
        self._whole = not message.get("more_body", False)
        return message


def _unambiguous(scope: Scope) -> None:
    """Raises `Refused` (400) for a request that a proxy before this service, or a database behind it, may read
    otherwise: two keys or two hosts, or a NUL in the address."""
    names = [name for name, _ in scope["headers"] if name in _ONCE]
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1).decode()
        raise Refused(400, f"{name}: this header stands twice; send it once", code="invalid", param=name)
    if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
        raise Refused(400, "the address holds the character NUL", code="invalid")


def _without_body(send: Send) -> Send:
    """HEAD: as GET, without the body."""

    async def head(message: AsgiMessage) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return head


def _only_from_here(scope: Scope, headers: dict[str, str]) -> None:
    """Without keys only this machine is answered: its address counts, and the name that was asked for, since a web page
    can have its browser ask for any name that resolves to this machine. Raises `Refused` (403)."""
    peer = scope.get("client")
    if peer is not None and not _is_loopback(peer[0]):
        raise Refused(403, "without API keys only requests from this machine are answered", code="host")
    if not LOCAL_HOST.fullmatch(headers.get("host", "localhost")):
        raise Refused(403, "without API keys only requests to localhost are answered", code="host")


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


@functools.lru_cache(maxsize=1)
def _damage(error: ConfigError) -> None:
    """Log it once."""
    logging.getLogger("collegium").error("%s: every request is refused until it is mended", error)
