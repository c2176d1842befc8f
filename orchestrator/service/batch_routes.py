"""The routes of files and batches, in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Form, Query, Request, UploadFile
from fastapi.responses import Response

from orchestrator.service import json_body
from orchestrator.service.batch_store import BatchRow, BatchStore, StoredBatch
from orchestrator.service.batches import ENDPOINTS, output
from orchestrator.service.file_store import FileStore, StoredFile
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import BatchBody
from orchestrator.service.scopes import scoped

MAX_ROWS = 50_000
MAX_ERRORS = 100
"""Faulty lines of an input file that are listed."""
OUTPUT, ERRORS = "output", "errors"
PageSize = Annotated[int, Query(ge=1, le=1000)]
LastSeen = Annotated[str | None, Query(max_length=100)]
Short = Annotated[str, Form(min_length=1, max_length=64, pattern=r"^[ -~]+$")]
CONTENT: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}, "application/jsonl": {}}}}
"""What a file's content is, for OpenAPI."""


def add(api: FastAPI, runtime: Runtime) -> None:
    """Add the routes."""
    files, batches = FileStore(runtime.database), BatchStore(runtime.database)

    async def find_file(request: Request, id: str) -> StoredFile:
        """A file of this key's: uploaded, or a batch's results so far."""
        kind, _, batch_id = id.partition("-")
        if kind in (OUTPUT, ERRORS):
            batch = await find_batch(request, batch_id)
            text = await asyncio.to_thread(_results, batches, batch, kind)
            return StoredFile(id, f"{batch.id}_{kind}.jsonl", "batch_output", len(text), batch.created)
        found = await asyncio.to_thread(files.get, _owner(request), id) if len(id) <= 64 else None
        if found is None:
            raise Refused(404, f"there is no file {id[:100]!r}", code="file_not_found")
        return found

    async def find_batch(request: Request, id: str) -> StoredBatch:
        found = await asyncio.to_thread(batches.get, _owner(request), id) if len(id) <= 64 else None
        if found is None:
            raise Refused(404, f"there is no batch {id[:100]!r}", code="batch_not_found")
        return found

    @api.post("/v1/files", openapi_extra=scoped("chat"))
    async def upload(request: Request, file: UploadFile, purpose: Short = "batch") -> dict[str, Any]:
        """Keep a file, for a batch: one JSON object per line."""
        content = await file.read()
        name = (file.filename or "file")[:256]
        return _file_body(await asyncio.to_thread(files.add, _owner(request), name, purpose, content))

    @api.get("/v1/files", openapi_extra=scoped("chat"))
    async def listed(
        request: Request, purpose: LastSeen = None, limit: PageSize = 100, after: LastSeen = None
    ) -> dict[str, Any]:
        """Uploaded files, the newest first; `after` is the last id of the page before."""
        if after is not None:
            await find_file(request, after)  # an unknown one has no page behind it
        found = await asyncio.to_thread(files.page, _owner(request), purpose, limit + 1, after)
        return _page([_file_body(one) for one in found], limit)

    @api.get("/v1/files/{id}", openapi_extra=scoped("chat"))
    async def file_of(id: str, request: Request) -> dict[str, Any]:
        """What is known of a file."""
        return _file_body(await find_file(request, id))

    @api.get("/v1/files/{id}/content", openapi_extra=scoped("chat"), response_class=Response, responses=CONTENT)
    async def content(id: str, request: Request) -> Response:
        """A file as it was uploaded; a batch's output or errors as far as it has come."""
        found = await find_file(request, id)
        if found.purpose == "batch_output":
            kind, _, batch_id = id.partition("-")
            text = await asyncio.to_thread(_results, batches, await find_batch(request, batch_id), kind)
            return Response(text, media_type="application/jsonl")
        body = await asyncio.to_thread(files.content, _owner(request), id)
        return Response(body or b"", media_type="application/octet-stream")

    @api.delete("/v1/files/{id}", openapi_extra=scoped("chat"))
    async def delete(id: str, request: Request) -> dict[str, Any]:
        """Forget an uploaded file. A batch's results go with nothing."""
        found = await find_file(request, id)
        if found.purpose == "batch_output":
            raise Refused(400, f"{id[:100]}: a batch's results cannot be deleted", code="invalid", param="id")
        await asyncio.to_thread(files.delete, _owner(request), id)
        return {"id": id, "object": "file", "deleted": True}

    @api.post("/v1/batches", openapi_extra=scoped("chat"))
    async def create(body: BatchBody, request: Request) -> dict[str, Any]:
        """Run all requests of an uploaded file: https://platform.openai.com/docs/api-reference/batch/create."""
        if body.endpoint not in ENDPOINTS:
            raise Refused(400, f"endpoint: must be one of {', '.join(ENDPOINTS)}", code="invalid", param="endpoint")
        found = await find_file(request, body.input_file_id)
        raw = await asyncio.to_thread(files.content, _owner(request), found.id) or b""
        key = request.state.key
        allowed = key.models if key else None
        rows, errors = await asyncio.to_thread(read_rows, raw, body.endpoint, allowed)
        made = await asyncio.to_thread(
            batches.add, _owner(request), body.endpoint, found.id, body.metadata, rows, errors
        )
        runtime.look_for_batches()
        return _batch_body(made)

    @api.get("/v1/batches", openapi_extra=scoped("chat"))
    async def page(request: Request, limit: PageSize = 20, after: LastSeen = None) -> dict[str, Any]:
        """Batches, the newest first; `after` is the last id of the page before."""
        if after is not None:
            await find_batch(request, after)
        found = await asyncio.to_thread(batches.page, _owner(request), limit + 1, after)
        return _page([_batch_body(one) for one in found], limit)

    @api.get("/v1/batches/{id}", openapi_extra=scoped("chat"))
    async def batch_of(id: str, request: Request) -> dict[str, Any]:
        """How a batch stands. Its files can be read while it runs."""
        return _batch_body(await find_batch(request, id))

    @api.post("/v1/batches/{id}/cancel", openapi_extra=scoped("chat"))
    async def cancel(id: str, request: Request) -> dict[str, Any]:
        """Stop a batch. What was answered stays; one that is over stays as it is."""
        await asyncio.to_thread(batches.cancel, (await find_batch(request, id)).id)
        return _batch_body(await find_batch(request, id))


def read_rows(
    raw: bytes, endpoint: str, models: Collection[str] | None = None
) -> tuple[list[BatchRow], list[dict[str, Any]]]:
    """(the requests of an input file, what is wrong with it by line). With an error there is nothing to run. `models`:
    those that it may ask; None: all."""
    rows: list[BatchRow] = []
    errors: list[dict[str, Any]] = []
    lines: dict[str, int] = {}

    def wrong(line: int | None, message: str, param: str | None = None) -> None:
        if len(errors) < MAX_ERRORS:
            errors.append({"code": "invalid_line", "line": line, "message": message, "param": param})

    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong(raw[: error.start].count(b"\n") + 1, "the file is not UTF-8")
        return [], errors
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json_body.loads(line)
        except json_body.RepeatedName as error:
            wrong(number, f"line {number}: {error}", error.name)
            continue
        except (ValueError, RecursionError):
            wrong(number, f"line {number}: is not JSON")
            continue
        if why := _fault(row, endpoint):
            wrong(number, f"line {number}: {why[1]}", why[0])
        elif models is not None and row["body"].get("model") not in models:
            wrong(number, f"line {number}: body.model: this key may use {', '.join(models)}", "body.model")
        elif (before := lines.setdefault(row["custom_id"], number)) != number:
            wrong(number, f"line {number}: custom_id {row['custom_id'][:100]!r} is line {before}'s too", "custom_id")
        else:
            rows.append(BatchRow(number, row["custom_id"], row["body"]))
    if not rows and not errors:
        wrong(None, "the file has no requests")
    if len(rows) > MAX_ROWS:
        wrong(None, f"the file has {len(rows)} requests; at most {MAX_ROWS} are run")
    return rows, errors


def _fault(row: Any, endpoint: str) -> tuple[str | None, str] | None:
    """(field, what is wrong with it), or None."""
    if not isinstance(row, dict):
        return None, "a JSON object is needed"
    if not isinstance(row.get("custom_id"), str) or not row["custom_id"] or len(row["custom_id"]) > 512:
        return "custom_id", "custom_id must be a text of at most 512 characters"
    if row.get("method", "POST") != "POST":
        return "method", "method must be POST"
    if row.get("url") != endpoint:
        return "url", f"url must be the batch's endpoint, {endpoint}"
    if not isinstance(row.get("body"), dict):
        return "body", "body must be a request, as a JSON object"
    if row["body"].get("stream"):
        return "body.stream", "body.stream: a batch cannot be streamed"
    return None


def _results(batches: BatchStore, batch: StoredBatch, kind: str) -> bytes:
    """A batch's output, or its errors, as far as it has come."""
    rows = batches.answered(batch.id, right=kind == OUTPUT)
    return b"".join(json.dumps(output(row), ensure_ascii=False).encode() + b"\n" for row in rows)


def _owner(request: Request) -> str:
    return request.state.key.id if request.state.key else "anyone"


def _page(data: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    visible = data[:limit]
    edges = (
        {"first_id": visible[0]["id"], "last_id": visible[-1]["id"]} if visible else {"first_id": None, "last_id": None}
    )
    return {"object": "list", "data": visible, "has_more": len(data) > limit, **edges}


def _file_body(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def _batch_body(batch: StoredBatch) -> dict[str, Any]:
    ended: dict[Literal["failed", "completed", "cancelled"], int | None]
    ended = dict.fromkeys(("failed", "completed", "cancelled"))
    if batch.status != "in_progress" and batch.ended is not None:
        ended[batch.status] = int(batch.ended)
    created = int(batch.created)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": f"{OUTPUT}-{batch.id}" if batch.completed else None,
        "error_file_id": f"{ERRORS}-{batch.id}" if batch.failed else None,
        "created_at": created,
        "in_progress_at": created,
        "failed_at": ended["failed"],
        "completed_at": ended["completed"],
        "cancelled_at": ended["cancelled"],
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
    }
