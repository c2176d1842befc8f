"""Files of a batch, read line by line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from orchestrator.service.batch_routes import read_rows

CHAT = "/v1/chat/completions"


def row(number: int, model: str = "words", text: str = "Which word?", url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {"input": text} if url == "/v1/responses" else {"messages": [{"role": "user", "content": text}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": url, "body": {"model": model, **asked, **body}}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


async def run(client: httpx.AsyncClient, raw: bytes, until: str = "completed", **headers: str) -> dict[str, Any]:
    id = await submit(client, raw, **headers)
    for _ in range(1500):
        batch: dict[str, Any] = (await client.get(f"/v1/batches/{id}", headers=headers)).json()
        if batch["status"] == until:
            return batch
        await asyncio.sleep(0.02)
    raise AssertionError(batch)


async def submit(client: httpx.AsyncClient, raw: bytes, **headers: str) -> str:
    sent = await client.post("/v1/files", files={"file": ("b.jsonl", raw)}, data={"purpose": "batch"}, headers=headers)
    body = {"input_file_id": sent.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
    made = await client.post("/v1/batches", json=body, headers=headers)
    assert made.status_code == 200, made.text
    id: str = made.json()["id"]
    return id


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
