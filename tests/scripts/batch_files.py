"""Files of requests for batches, and what a client does with them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

CHAT = "/v1/chat/completions"


def row(number: int, model: str = "words", text: str = "Which word?", url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {"input": text} if url == "/v1/responses" else {"messages": [{"role": "user", "content": text}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": url, "body": {"model": model, **asked, **body}}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


async def run(
    client: httpx.AsyncClient, raw: bytes, until: str = "completed", endpoint: str = CHAT, **headers: str
) -> dict[str, Any]:
    id = await submit(client, raw, endpoint, **headers)
    for _ in range(1500):
        batch: dict[str, Any] = (await client.get(f"/v1/batches/{id}", headers=headers)).json()
        if batch["status"] == until:
            return batch
        await asyncio.sleep(0.02)
    raise AssertionError(batch)


async def submit(client: httpx.AsyncClient, raw: bytes, endpoint: str = CHAT, **headers: str) -> str:
    sent = await client.post("/v1/files", files={"file": ("b.jsonl", raw)}, data={"purpose": "batch"}, headers=headers)
    body = {"input_file_id": sent.json()["id"], "endpoint": endpoint, "completion_window": "24h"}
    made = await client.post("/v1/batches", json=body, headers=headers)
    assert made.status_code == 200, made.text
    id: str = made.json()["id"]
    return id
