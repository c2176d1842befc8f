"""Every route names its scope, and holds to it for every spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from orchestrator.service.application import application
from orchestrator.service.keys import SCOPES, KeyFile
from orchestrator.service.runtime import ServiceRuntime
from orchestrator.service.scopes import ANY, OPEN, ScopedRoute


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_scopes_hold_behind_a_prefix_and_for_every_spelling(settings: dict[str, Any], serving: Any) -> None:
    chat, _ = KeyFile(Path(settings["state"]) / "keys.json").create("chat", ["chat"])
    async with serving(settings, root_path="/llm") as client:
        for path in (
            "/llm/v1/jobs",
            "/llm//v1/jobs",
            "/llm/v1/jobs/",
            "/llm/v1/./jobs",
            "/llm/v1/pipelines",
            "/v1/jobs",
        ):
            answer = await client.get(path, headers=bearer(chat))
            assert answer.status_code in (403, 404), path
            assert "data" not in answer.json()
        submitted = await client.post("/llm/v1/jobs", json={"pipeline": "profile"}, headers=bearer(chat))
        assert submitted.status_code == 403
        assert (await client.get("/llm/v1/models", headers=bearer(chat))).status_code == 200


def test_every_route_names_its_scope(settings: dict[str, Any], configure: Any) -> None:
    runtime = ServiceRuntime(configure(settings))
    with runtime:
        routes = application(runtime).app.routes  # type: ignore[attr-defined]
        assert len(routes) > 15
        for route in routes:
            assert isinstance(route, ScopedRoute), route
            assert (route.openapi_extra or {}).get("x-collegium-scope") in {*SCOPES, OPEN, ANY}, route.path


async def test_a_route_without_a_scope_is_denied_to_everybody(settings: dict[str, Any], configure: Any) -> None:
    key = KeyFile(Path(settings["state"]) / "keys.json").create("all")[0]
    runtime = ServiceRuntime(configure(settings))
    app = application(runtime)
    app.app.add_api_route("/v1/forgotten", lambda: {"secret": 1})  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/v1/forgotten", headers=bearer(key))).status_code == 403
    await runtime.close()
