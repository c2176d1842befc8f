"""Run folders and workers, for the page and for whoever watches. Whoever may administrate sees every run; others see
the runs of their own jobs under /v1/jobs."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import FileResponse, Response

from orchestrator.evaluation.answer import ANSWERS
from orchestrator.evaluation.report import render
from orchestrator.pipelines.comparison_report import comparison_report
from orchestrator.pipelines.run_comparison import compare_runs
from orchestrator.pipelines.run_list import RunEntry, open_run, run_entry, runs_in
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import ComparisonBody
from orchestrator.service.scopes import scoped

FILES = (
    "report.html", "results.json", "answers.parquet", "replies.parquet", "table.jsonl", "transcripts.jsonl.gz",
    "questions.jsonl.gz", "config.json", "manifest.json", "zoo.yaml", "convincing.jsonl",
)  # fmt: skip
"""What a run may leave for reading; checkpoints are not among it."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:"
)
"""A report is a page of its own with its scripts in it: without any access to this service or to others."""
REPORT_HEADERS = {"Content-Security-Policy": REPORT_POLICY, "X-Content-Type-Options": "nosniff"}

Text = Annotated[str, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31)]


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the routes."""

    def root() -> Path:
        return Path(runtime.config.runs).expanduser()

    async def find(id: str) -> RunEntry:
        plain = len(id) < 200 and Path(id).name == id and not id.startswith(".")
        found = await asyncio.to_thread(run_entry, root() / id) if plain else None
        if found is None:
            raise Refused(404, f"there is no run {id[:100]!r}", code="run_not_found")
        return found

    @api.get("/v1/runs", openapi_extra=scoped("admin"))
    async def listed() -> dict[str, Any]:
        """Every run folder, the newest first."""
        found = await asyncio.to_thread(lambda: [_json(one) for one in runs_in(root())])
        return {"object": "list", "data": found}

    @api.post("/v1/runs/compare", openapi_extra=scoped("admin"))
    async def compare(body: ComparisonBody) -> dict[str, Any]:
        """Runs on the questions that they share, method by method."""
        folders = [(await find(id)).path for id in body.runs]
        questions, pairs = await asyncio.to_thread(compare_runs, folders)
        return {"object": "list", "questions": questions, "data": pairs}

    @api.get("/v1/runs/compare/report.html", openapi_extra=scoped("admin"))
    async def compared(run: Annotated[list[str], Query(min_length=2, max_length=8)]) -> Response:
        """The same as a page: `?run=ID&run=ID`. It has the form of one run's report."""
        folders = [(await find(id)).path for id in run]
        page = await asyncio.to_thread(lambda: render(comparison_report(folders)))
        return Response(page, headers=REPORT_HEADERS, media_type="text/html; charset=utf-8")

    @api.get("/v1/runs/{id}", openapi_extra=scoped("admin"))
    async def run(id: str) -> dict[str, Any]:
        """One run: what was asked for, what it left, and its report, as far as it has one."""
        found = await find(id)
        report = None
        if found.finished:
            report = getattr(await asyncio.to_thread(open_run, found.path), "report", None)
        files = [name for name in FILES if (found.path / name).is_file()]
        body = report.model_dump(mode="json", exclude={"transcripts", "samples", "timeline"}) if report else None
        return {**_json(found), "files": files, "report": body}

    @api.get("/v1/runs/{id}/answers", openapi_extra=scoped("admin"))
    async def answers(
        id: str, method: Text, outcome: Text = "", search: Text = "", limit: Limit = 200, offset: Offset = 0
    ) -> dict[str, Any]:
        """A method's questions of one outcome (empty: of any), with texts and answers; `search` looks in both."""
        file = (await find(id)).path / ANSWERS
        if not file.is_file():
            raise Refused(404, "this run keeps no answers by question", code="file_not_found")
        total, rows = await asyncio.to_thread(_answers, file, method, outcome, search, limit, offset)
        return {"object": "list", "total": total, "data": rows}

    @api.get("/v1/runs/{id}/files/{name}", openapi_extra=scoped("admin"))
    async def file(id: str, name: str) -> Response:
        """One of its files."""
        path = (await find(id)).path / name
        if name not in FILES or not path.is_file():
            raise Refused(404, f"this run has no file {name[:100]!r}", code="file_not_found")
        return FileResponse(path, headers=REPORT_HEADERS)

    @api.get("/v1/workers", openapi_extra=scoped("metrics"))
    async def workers() -> dict[str, Any]:
        """Which expert each worker holds, what waits and runs, and sums since the start."""
        if not runtime.started:
            raise Refused(503, "the service is starting", code="starting")
        load = await runtime.collegium.pool.load()
        totals = load.totals
        return {
            "object": "workers",
            "workers": load.held,
            "requests": load.requests,
            "finished": totals.finished,
            "cached": totals.cached,
            "tokens": totals.tokens,
            "loads": totals.loads,
            "load_seconds": totals.load_seconds,
        }


def _answers(
    file: Path, method: str, outcome: str, search: str, limit: int, offset: int
) -> tuple[int, list[dict[str, Any]]]:
    """(how many there are, those asked for); texts become Python's only where they are sent."""
    import pyarrow.compute as pc
    import pyarrow.parquet

    wanted = [("method", "==", method), *([("outcome", "==", outcome)] if outcome else [])]
    rows = pyarrow.parquet.read_table(file, filters=wanted)
    if search:
        found = [pc.match_substring(rows[name], search, ignore_case=True) for name in ("text", "gold", "answer")]
        rows = rows.filter(functools.reduce(pc.or_, (pc.fill_null(one, False) for one in found)))
    return len(rows), rows.slice(offset, limit).to_pylist()


def _json(found: RunEntry) -> dict[str, Any]:
    return {
        "id": found.path.name,
        "object": "run",
        "pipeline": found.pipeline,
        "changed": found.changed,
        "finished": found.finished,
        "request": found.request,
    }
