"""The page at `/`: complete, and unable to run anything that is not its own."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from orchestrator.service.page_routes import KINDS, WEB


async def test_every_part_of_the_page_is_served_with_its_policy(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    parts = {path.name for path in WEB.iterdir() if path.suffix in KINDS} - {"index.html"}
    assert len(parts) >= 6
    for name in parts:
        part = await client.get(f"/page/{name}")
        assert part.status_code == 200, name
        policy = part.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
        assert part.headers["x-content-type-options"] == "nosniff"
    for named in re.findall(r'(?:href|src)="(page/[^"]+)"', page.text):
        assert (await client.get(f"/{named}")).status_code == 200


@pytest.mark.parametrize("name", ["../page_routes.py", "%2e%2e%2fkeys.py", "none.js", "__init__.py", "page.py"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/page/{name}")).status_code == 404


def test_the_page_never_reads_text_as_html() -> None:
    for script in WEB.glob("*.js"):
        text = script.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
            script
        )
        assert not re.search(r"https?://", text), script  # nothing from elsewhere
    html = (WEB / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style| on[a-z]+=|style=", html)  # its policy would refuse it


async def test_every_address_that_the_page_asks_for_is_a_route(client: httpx.AsyncClient) -> None:
    api: Any = client._transport.app.app  # type: ignore[attr-defined]
    paths = [route.path_regex for route in api.routes if hasattr(route, "path_regex")]
    asked = {
        re.sub(r"\$\{[^}]*\}", "x", found).partition("?")[0]
        for script in WEB.glob("*.js")
        for found in re.findall(r"[`\"](v1/[^`\"]*)[`\"]", script.read_text("utf-8"))
    }
    assert len(asked) >= 10
    for path in asked:
        assert any(one.match(f"/{path}") for one in paths), path
