"""The page of the service at `/`: files of this package, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response

from orchestrator.evaluation import report
from orchestrator.service.refusals import Refused
from orchestrator.service.scopes import OPEN, scoped

WEB = Path(__file__).parent / "web"
REPORT, SHARED = Path(report.__file__).parent, ("list.js",)
"""Where the reports' scripts are, and which of them the page has, too."""
KINDS = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles of this service only, no frames, no forms to elsewhere: a model's text can do nothing here."""


def add(api: FastAPI) -> None:
    """Add the routes."""

    @api.get("/", include_in_schema=False, openapi_extra=scoped(OPEN))
    async def page() -> Response:
        """The page. It holds no data: what it shows, it asks for with the visitor's key."""
        return _file("index.html")

    @api.get("/page/{name}", include_in_schema=False, openapi_extra=scoped(OPEN))
    async def part(name: str) -> Response:
        """A script or a style of the page."""
        return _file(name)


def _file(name: str) -> Response:
    path = (REPORT if name in SHARED else WEB) / name
    if path.name != name or path.suffix not in KINDS or not path.is_file():
        raise Refused(404, f"the page has no part {name[:100]!r}", code="not_found")
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return FileResponse(path, media_type=f"{KINDS[path.suffix]}; charset=utf-8", headers=headers)
