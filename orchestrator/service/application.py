"""The application: routes over a runtime. The same under uvicorn, on Ray Serve and in tests.

FastAPI reads the annotations of the routes from this module's names: it is imported here, and this module only when
a service starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from orchestrator import __version__
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.failure_log import log_failure
from orchestrator.chats.routing import ranking_json
from orchestrator.errors import CollegiumError
from orchestrator.service import (
    anthropic,
    batch_routes,
    chat,
    completions,
    embeddings,
    job_routes,
    page_routes,
    profile_routes,
    refusals,
    response_routes,
    run_routes,
    token_routes,
)
from orchestrator.service.accounts import ANYONE, usage_json
from orchestrator.service.json_body import RepeatedNameInBody
from orchestrator.service.keys import Key
from orchestrator.service.metrics import Metrics
from orchestrator.service.middleware import Middleware
from orchestrator.service.model_list import ModelList
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.response_store import ResponseStore
from orchestrator.service.schema import FeedbackBody, RouteBody
from orchestrator.service.scopes import ANY, OPEN, ScopedRoute, check_model, scoped
from orchestrator.service.tracing import Tracing

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in (
        (400, "Bad request"),
        (401, "No valid key"),
        (403, "Not allowed"),
        (404, "Not found"),
        (408, "Too slow"),
        (409, "Something must be done first"),
        (413, "Too large"),
        (429, "Too much at once"),
        (503, "Not now"),
    )
}


def application(runtime: Runtime) -> Middleware:
    """An ASGI application. It opens the runtime with its lifespan, and closes it."""
    metrics, tracing = Metrics(), Tracing(runtime.config.service.tracing)
    model_list = ModelList(runtime)
    metrics.watch(model_list.health)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        runtime.open()
        try:
            yield
        finally:
            await runtime.close()

    api = FastAPI(
        title="Collegium",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=ERRORS,
        redirect_slashes=False,
    )
    api.router.route_class = ScopedRoute
    _handle_errors(api)
    chats = chat.Chats(runtime, model_list, metrics, tracing)

    @api.post("/v1/chat/completions", openapi_extra=scoped("chat"))
    async def chat_completions(body: ChatBody, request: Request) -> Response:
        """A chat with an expert, `mixture`, or another method: https://platform.openai.com/docs/api-reference/chat."""
        return await chats.answer(body, request)

    @api.get("/v1/models", openapi_extra=scoped("chat"))
    async def models(request: Request) -> dict[str, Any]:
        """Every expert and every method, as model ids; of a key for some of them, those."""
        return {"object": "list", "data": model_list.entries(request.scope)}

    @api.get("/v1/models/{name:path}", openapi_extra=scoped("chat"))
    async def model(name: str, request: Request) -> dict[str, Any]:
        """One of them."""
        check_model(request.scope, name)
        return model_list.entry(name)

    @api.post("/v1/route", openapi_extra=scoped("chat"))
    async def route(body: RouteBody) -> dict[str, Any]:
        """Experts for each question, best first, with reasons."""
        if not all(question.strip() for question in body.questions):
            raise Refused(400, "questions: a question is empty", param="questions")
        rankings = await runtime.routing.rank(body.questions)
        return {"object": "list", "data": [ranking_json(ranking) for ranking in rankings]}

    @api.post("/v1/feedback", openapi_extra=scoped("feedback"))
    async def feedback(body: FeedbackBody) -> dict[str, Any]:
        """Judge an expert's answer: routers learn from it."""
        version = await runtime.routing.learn(body.question, body.expert, body.score, body.skills)
        return {"object": "feedback", "version": version}

    @api.get("/v1/usage", openapi_extra=scoped(ANY))
    async def usage(request: Request) -> dict[str, Any]:
        """What the asking key has spent, by month, and its budget: tokens, and US dollars where prices are known."""
        key: Key | None = request.state.key
        months = await asyncio.to_thread(runtime.accounts.months, key.id if key else ANYONE)
        budget = {"tokens": key.tokens_per_month, "dollars": key.dollars_per_month} if key else None
        names = {key.id: key.name} if key else {}
        return {"object": "list", "data": usage_json(months, names), "budget_per_month": budget}

    @api.get("/health", openapi_extra=scoped(OPEN))
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @api.get("/health/ready", openapi_extra=scoped(OPEN))
    async def ready() -> Response:
        """Workers are ready and nothing is draining."""
        good = runtime.ready and not runtime.draining
        return JSONResponse({"status": "ready" if good else "not ready"}, 200 if good else 503)

    @api.get("/version", openapi_extra=scoped(OPEN))
    async def version() -> dict[str, str]:
        """The version of this service."""
        return {"version": __version__}

    @api.get("/metrics", response_class=PlainTextResponse, openapi_extra=scoped("metrics"))
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        if not runtime.started:
            raise Refused(503, "the service is starting", code="starting")
        return Response(
            metrics.text(await runtime.collegium.pool.load()), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    @api.post("/v1/admin/reload", openapi_extra=scoped("admin"))
    async def reload() -> dict[str, Any]:
        """Read the configuration and the keys again. What cannot change while the service runs is refused by name,
        and then nothing has changed."""
        changed = await asyncio.to_thread(runtime.reload)
        return {"object": "reload", "changed": changed}

    @api.get("/openapi.json", include_in_schema=False, openapi_extra=scoped(ANY))
    async def description() -> dict[str, Any]:
        """What this service offers, as OpenAPI."""
        return api.openapi()

    page_routes.add(api)
    job_routes.add(api, runtime)
    run_routes.add(api, runtime)
    profile_routes.add(api, runtime)
    anthropic.add(api, chats)
    completions.add(api, chats)
    token_routes.add(api, model_list)
    embeddings.add(api, runtime)
    batch_routes.add(api, runtime)
    response_routes.add(api, chats, ResponseStore(runtime.database))
    roots = {
        route.path.split("/")[2] for route in api.routes if isinstance(route, ScopedRoute) and "/v1/" in route.path
    }
    return Middleware(api, lambda: runtime.config.service, runtime.keys, metrics, roots)


def _methods(api: FastAPI, path: str) -> list[str]:
    """The methods that this path knows."""
    matching = (route for route in api.routes if isinstance(route, ScopedRoute) and route.path_regex.match(path))
    return sorted({method for route in matching for method in route.methods})


def _help(api: FastAPI, request: Request, error: HTTPException) -> str:
    """The error, with what to do instead where that is known."""
    path = request.url.path[:200]
    if error.status_code == 405:
        return f"{path} is not for {request.method}; use {' or '.join(_methods(api, request.url.path))}"
    if error.status_code == 404:
        paths = sorted({route.path.replace(":path}", "}") for route in api.routes if isinstance(route, ScopedRoute)})
        close = difflib.get_close_matches(path, paths, 1, 0.6)
        return f"there is no path {path}" + (f"; did you mean {close[0]}?" if close else "; /openapi.json lists them")
    if error.detail == "There was an error parsing the body":
        return "the request's body: is not JSON, or is nested too deeply"
    return str(error.detail)[:500]


def _handle_errors(api: FastAPI) -> None:
    def respond(error: Exception, request: Request) -> JSONResponse:
        status, body, headers = refusals.of(error, request.url.path)
        request.state.log_fields |= refusals.log_fields(body)
        return JSONResponse(body, status, dict(headers))

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return respond(refusals.invalid(error.errors()), request)

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if request.method == "OPTIONS" and (methods := _methods(api, request.url.path)):
            return Response(status_code=204, headers={"Allow": ", ".join(["OPTIONS", *methods])})
        param = error.param if isinstance(error, RepeatedNameInBody) else None
        response = respond(Refused(error.status_code, _help(api, request, error), param=param), request)
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_methods(api, request.url.path))
        return response

    @api.exception_handler(CollegiumError)
    async def ours(request: Request, error: CollegiumError) -> JSONResponse:
        log_failure(error, error.expert)
        return respond(error, request)

    @api.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return respond(error, request)
