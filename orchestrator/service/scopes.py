"""Scopes stand on routes: a route that names none is denied to everybody.

A route names its scope as `openapi_extra=scoped("jobs")`, so that the API's description tells it too. It is looked at
after routing: neither a prefix of the URL nor its spelling can lead around it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.params import Form
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from orchestrator.service.json_body import StrictRequest
from orchestrator.service.refusals import Refused

OPEN = "open"
"""The scope of routes that need no key."""
ANY = "any"
"""The scope of routes that any valid key may use."""
_NAME = "x-collegium-scope"


def scoped(scope: str) -> dict[str, Any]:
    """`openapi_extra` of a route that needs this scope."""
    return {_NAME: scope}


class ScopedRoute(APIRoute):
    """Asks for its scope before anything else of it runs. Raises `Refused` (401, 403)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, with bodies that are read strictly."""
        answer = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await answer(StrictRequest(request.scope, request.receive))

        return strictly

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the key's scope and the body's content type before the route runs."""
        check(scope, (self.openapi_extra or {}).get(_NAME))
        fields = self.dependant.body_params
        if scope["method"] in self.methods and fields and not any(isinstance(one.field_info, Form) for one in fields):
            _json_only(scope)
        await super().handle(scope, receive, send)


def check(scope: Scope, needed: str | None) -> None:
    """Whether this request's key may use a route that needs the scope `needed`. Raises `Refused`."""
    state = scope["state"]
    if needed == OPEN or state["keyless"]:
        return
    if needed is None:
        raise Refused(403, "nobody may use this path", code="scope")
    key = state["key"]
    if key is None:
        raise Refused(401, "a valid API key is needed: Authorization: Bearer KEY", code="invalid_api_key")
    if needed != ANY and needed not in key.scopes:
        raise Refused(403, f"this key has not the scope {needed!r}", code="scope")
    if needed == "jobs" and key.models is not None:
        raise Refused(403, "this key may use some models only, and a job asks any of them", code="scope")


def may_use(scope: Scope, model: str) -> bool:
    """Whether this request's key may ask this model."""
    key = scope["state"]["key"]
    return key is None or key.models is None or model in key.models


def check_model(scope: Scope, model: str) -> None:
    """Raises `Refused` (403) where this request's key may not ask this model."""
    if not may_use(scope, model):
        models = ", ".join(scope["state"]["key"].models)
        raise Refused(
            403,
            f"model: this key may not use {model[:100]!r}; it may use {models}",
            code="model_not_allowed",
            param="model",
        )


def _json_only(scope: Scope) -> None:
    """Raises `Refused` (415) for a body that does not say that it is JSON: a web page can have its browser send one
    that says nothing to any address."""
    headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
    plain = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    empty = headers.get(b"content-length", "0") == "0" and b"transfer-encoding" not in headers
    if plain != "application/json" and not plain.endswith("+json") and (plain or not empty):
        message = f"the body is {plain[:100] or 'of no named type'}; send JSON, with Content-Type: application/json"
        raise Refused(415, message, code="media_type")
