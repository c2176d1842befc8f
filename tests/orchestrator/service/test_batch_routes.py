"""Files of a batch, read line by line."""

from __future__ import annotations

import httpx
import pytest

from orchestrator.service.batch_routes import read_rows
from tests.scripts.batch_files import CHAT, lines, row, run


@pytest.mark.parametrize(
    ("raw", "line", "named"),
    [
        (b"{", 1, "line 1: is not JSON"),
        (b"", None, "no requests"),
        (b"\xff\xfe", 1, "UTF-8"),
        (b"[" * 5000, 1, "line 1: is not JSON"),
        (lines(row(1), {"a": 1}), 2, "line 2: custom_id"),
        (lines(row(1), row(2), row(1)), 3, "line 3: custom_id 'r1' is line 1's too"),
        (lines(row(1, url="/v1/other")), 1, "line 1: url"),
        (lines({**row(1), "method": "GET"}), 1, "line 1: method"),
        (lines({**row(1), "body": "x"}), 1, "line 1: body"),
        (lines(row(1, stream=True)), 1, "line 1: body.stream"),
    ],
)
def test_a_faulty_file_is_refused_line_by_line(raw: bytes, line: int | None, named: str) -> None:
    _, errors = read_rows(raw, CHAT)
    assert errors[0]["line"] == line
    assert named in errors[0]["message"]


async def test_a_batch_of_a_faulty_file_fails_and_says_why(client: httpx.AsyncClient) -> None:
    batch = await run(client, lines(row(1)) + b"{\n", "failed")
    assert batch["errors"]["data"][0]["line"] == 2
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}


async def test_the_description_says_that_a_files_content_is_no_json(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/v1/files/{id}/content"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"application/octet-stream", "application/jsonl"}
