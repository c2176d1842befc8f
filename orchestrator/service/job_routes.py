"""The routes of jobs. Their request schemas come from the pipelines' own models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from orchestrator.pipelines.registry import PIPELINES
from orchestrator.service.chat import EventStream
from orchestrator.service.job_store import Job
from orchestrator.service.jobs import over
from orchestrator.service.keys import Key
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import JobBody
from orchestrator.service.scopes import scoped

POLL = 0.5
"""Seconds between looks at a job that is followed."""
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[int, Query(ge=0, le=2**53)]


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the routes."""
    store = runtime.jobs.store

    async def find(id: str, request: Request) -> Job:
        job = await asyncio.to_thread(store.get, id) if len(id) < 100 else None
        key: Key | None = request.state.key
        if job is None or (key is not None and job.owner != key.id):
            raise Refused(404, f"there is no job {id[:100]!r}", code="job_not_found")
        return job

    @api.get("/v1/pipelines", openapi_extra=scoped("jobs"))
    async def pipelines() -> dict[str, Any]:
        """The pipelines, each with the schema of its request."""
        listed = [{"id": name, "schema": one.request.model_json_schema()} for name, one in PIPELINES.items()]
        return {"object": "list", "data": listed}

    @api.post("/v1/jobs", status_code=201, openapi_extra=scoped("jobs"))
    async def submit(
        body: JobBody,
        request: Request,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=256)] = None,
    ) -> Response:
        """Run a pipeline. The same `Idempotency-Key` again gives the same job."""
        owner = request.state.key.id if request.state.key else "anyone"
        budget = body.budget.model_dump(exclude_none=True) if body.budget else None
        job, new = await asyncio.to_thread(
            runtime.jobs.submit, body.pipeline, body.request, owner, idempotency_key, budget or None
        )
        return JSONResponse(job_json(job), 201 if new else 200)

    @api.get("/v1/jobs", openapi_extra=scoped("jobs"))
    async def listed(
        request: Request, limit: Limit = 20, after: Annotated[str | None, Query(max_length=100)] = None
    ) -> dict[str, Any]:
        """Jobs, the newest first; `after` is the last id of the page before."""
        if after is not None:
            await find(after, request)  # an unknown one has no page behind it
        owner = request.state.key.id if request.state.key else None
        jobs = await asyncio.to_thread(store.page, owner, limit + 1, after)
        return {"object": "list", "data": [job_json(job) for job in jobs[:limit]], "has_more": len(jobs) > limit}

    @api.get("/v1/jobs/{id}", openapi_extra=scoped("jobs"))
    async def status(id: str, request: Request) -> dict[str, Any]:
        """How a job stands."""
        return job_json(await find(id, request))

    @api.post("/v1/jobs/{id}/cancel", openapi_extra=scoped("jobs"))
    async def cancel(id: str, request: Request) -> dict[str, Any]:
        """Stop a job. One that is over stays as it is."""
        await asyncio.to_thread(runtime.jobs.cancel, (await find(id, request)).id)
        return job_json(await find(id, request))

    @api.get("/v1/jobs/{id}/logs", openapi_extra=scoped("jobs"))
    async def logs(id: str, request: Request, after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        """Its log lines after number `after`."""
        lines = await asyncio.to_thread(store.lines, (await find(id, request)).id, after, limit)
        data = [{"number": number, "time": time, "text": text} for number, time, text in lines]
        return {"object": "list", "data": data}

    @api.get("/v1/jobs/{id}/events", openapi_extra=scoped("jobs"))
    async def events(id: str, request: Request, after: After = 0) -> Response:
        """Its log lines and progress as they come, as server-sent events, until it is over."""
        return EventStream(_followed(runtime, await find(id, request), after))

    @api.get("/v1/jobs/{id}/result", openapi_extra=scoped("jobs"))
    async def result(id: str, request: Request) -> Response:
        """The pipeline's results.json."""
        job = await find(id, request)
        return await _file(runtime, job, "results.json")

    @api.get("/v1/jobs/{id}/files", openapi_extra=scoped("jobs"))
    async def files(id: str, request: Request) -> dict[str, Any]:
        """What the job left: report, tables, replies."""
        found = await asyncio.to_thread(runtime.jobs.files, await find(id, request))
        return {"object": "list", "data": [{"name": path.name, "bytes": path.stat().st_size} for path in found]}

    @api.get("/v1/jobs/{id}/files/{name}", openapi_extra=scoped("jobs"))
    async def file(id: str, name: str, request: Request) -> Response:
        """One of these files."""
        return await _file(runtime, await find(id, request), name)


async def _file(runtime: Runtime, job: Job, name: str) -> Response:
    """Only a name that the folder's listing has is ever opened."""
    if job.status != "succeeded":
        raise Refused(409, f"the job is {job.status}: it has no results", code="job_not_finished")
    found: dict[str, Path] = {path.name: path for path in await asyncio.to_thread(runtime.jobs.files, job)}
    if name not in found:
        raise Refused(404, "the job left no such file", code="file_not_found")
    return FileResponse(found[name])


async def _followed(runtime: Runtime, job: Job, after: int) -> AsyncIterator[bytes]:
    while True:
        current = await asyncio.to_thread(runtime.jobs.store.get, job.id)
        for number, time, text in await asyncio.to_thread(runtime.jobs.store.lines, job.id, after):
            after = number
            yield _event("log", {"number": number, "time": time, "text": text})
        if current is None or over(current):
            break
        yield _event("progress", {"status": current.status, "replies": current.replies})
        await asyncio.sleep(POLL)
    if current is not None:
        yield _event("end", job_json(current))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def job_json(job: Job) -> dict[str, Any]:
    """A job as clients see it: the folder's name, not its path."""
    return {
        "id": job.id,
        "object": "job",
        "pipeline": job.pipeline,
        "request": job.request,
        "budget": job.budget,
        "status": job.status,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "progress": {"replies": job.replies},
        "starts": job.starts,
        "error": job.error,
        "folder": Path(job.folder).name if job.folder else None,
    }
