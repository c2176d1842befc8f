"""The door: every request passes it. Request id, who is asking, limits on body and time, one log line, metrics.

Plain ASGI, so that streams pass through untouched. The application behind it sees `scope["state"]["key"]` and
`scope["state"]["request_id"]`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from orchestrator.config import ServiceConfig
from orchestrator.service import refusals
from orchestrator.service.keys import Key, KeyLimits, Keys
from orchestrator.service.metrics import Metrics
from orchestrator.service.refusals import Refused

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/health", "/health/ready", "/metrics"})
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})
_TOO_LARGE = "the request's body is too large"
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_log = logging.getLogger("collegium.requests")


class Middleware:
    """Wraps an application. Whatever goes wrong inside, the client gets an error in OpenAI's form."""

    def __init__(self, app: App, config: ServiceConfig, keys: Keys, metrics: Metrics) -> None:
        self.app = app
        self._config = config
        self._keys = keys
        self._metrics = metrics
        self._limits = KeyLimits()
        self._most = int(config.body_mib * 2**20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        visit = _Visit(scope, given if _ID.fullmatch(given) else f"req-{secrets.token_hex(12)}", send)
        key: Key | None = None
        try:
            key = self._admit(scope, headers)
            state = scope.setdefault("state", {})
            state["key"], state["request_id"] = key, visit.id
            await self.app(scope, _Bounded(receive, headers, self._most, self._config.body_seconds), visit.send)
        except Exception as error:
            if not isinstance(error, Refused):
                logging.getLogger("collegium").exception("request %s failed", visit.id)
            await visit.refuse(error)
        finally:
            if key is not None:
                self._limits.leave(key)
            self._metrics.request(visit.path, visit.status, visit.seconds)
            if scope["path"] not in OPEN:
                self._note(visit, key)

    def _admit(self, scope: Scope, headers: dict[str, str]) -> Key | None:
        """Whose request this is. Raises `Refused`."""
        path = scope["path"]
        if not self._keys:
            # Only loopback is listened on then: but a web page could have its browser ask for any name that
            # resolves to it.
            if (
                headers.get("host", "localhost").rpartition(":")[0] not in LOCAL_HOSTS
                and headers.get("host", "localhost") not in LOCAL_HOSTS
            ):
                raise Refused(403, "without keys only requests to localhost are answered", code="host")
            return None
        if path in OPEN:
            return None
        scheme, _, text = headers.get("authorization", "").partition(" ")
        key = self._keys.find(text.strip()) if scheme.lower() == "bearer" and text else None
        if key is None:
            raise Refused(401, "a valid API key is needed: Authorization: Bearer KEY", code="invalid_api_key")
        scope_needed = _needed(path)
        if scope_needed not in key.scopes:
            raise Refused(403, f"this key has not the scope {scope_needed!r}", code="scope")
        if (wait := self._limits.enter(key, time.monotonic())) is not None:
            raise _TooMany(wait)
        return key

    def _note(self, visit: _Visit, key: Key | None) -> None:
        if self._config.log == "none":
            return
        line = {
            "time": time.time(),
            "request_id": visit.id,
            "method": visit.method,
            "path": visit.path[:200],
            "status": visit.status,
            "seconds": round(visit.seconds, 4),
            "key": key.id if key else None,
            **visit.told,
        }
        if self._config.log == "json":
            _log.info(json.dumps(line))
        else:
            _log.info(" ".join(f"{name}={json.dumps(value)}" for name, value in line.items() if name != "time"))


class _TooMany(Refused):
    def __init__(self, wait: float) -> None:
        super().__init__(429, "this key's limit is reached; try again later", code="rate_limit")
        self.retry_after = wait


class _Visit:
    """One request on its way through."""

    def __init__(self, scope: Scope, id: str, send: Send) -> None:
        self.id = id
        self.method = scope["method"]
        self.path = scope["path"]
        self.status = 0
        self.told: dict[str, Any] = scope.setdefault("state", {}).setdefault("told", {})
        """What the application wants in the log line."""
        self._started = time.perf_counter()
        self._send = send

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        if self.status:
            return  # the response has begun: the connection breaks off
        status, body, headers = refusals.of(error)
        if isinstance(error, _TooMany):
            headers = {"Retry-After": str(max(1, round(error.retry_after + 0.5)))}
        content = json.dumps(body).encode()
        raw = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if status in (408, 413):
            raw.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self._send({"type": "http.response.body", "body": content})


class _Bounded:
    """Receives a body of bounded size in bounded time. Raises `HTTPException`, which FastAPI lets pass."""

    def __init__(self, receive: Receive, headers: dict[str, str], most: int, seconds: float) -> None:
        self._receive = receive
        self._left = most
        self._until = time.monotonic() + seconds
        self._whole = False
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > most:
            self._left = -1

    async def __call__(self) -> Message:
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


def _needed(path: str) -> str:
    """The scope for a path."""
    for scope in ("jobs", "feedback"):
        if path.startswith(f"/v1/{scope}"):
            return scope
    return "chat"
