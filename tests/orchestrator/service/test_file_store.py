"""Uploaded files: bounded, and their owner's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from orchestrator.service.keys import KeyFile

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


async def test_files_and_batches_belong_to_their_key(settings: dict[str, Any], serving: Any) -> None:
    keys = KeyFile(Path(settings["state"]) / "keys.json")
    ann, bob = ({"Authorization": f"Bearer {keys.create(name)[0]}"} for name in ("ann", "bob"))
    async with serving(settings) as client:
        batch = await run(client, lines(row(1)), **ann)
        for path in (
            f"/v1/batches/{batch['id']}",
            f"/v1/files/{batch['input_file_id']}",
            f"/v1/files/{batch['input_file_id']}/content",
            f"/v1/files/{batch['output_file_id']}/content",
        ):
            assert (await client.get(path, headers=ann)).status_code == 200, path
            assert (await client.get(path, headers=bob)).status_code == 404, path
        assert (await client.post(f"/v1/batches/{batch['id']}/cancel", headers=bob)).status_code == 404
        assert (await client.delete(f"/v1/files/{batch['input_file_id']}", headers=bob)).status_code == 404
        stolen = {"input_file_id": batch["input_file_id"], "endpoint": CHAT}
        assert (await client.post("/v1/batches", json=stolen, headers=bob)).status_code == 404
        for path in ("/v1/files", "/v1/batches"):
            assert (await client.get(path, headers=bob)).json()["data"] == []


async def test_an_uploaded_file_is_bounded(settings: dict[str, Any], serving: Any) -> None:
    settings["service"] |= {"file_mib": 0.05, "body_mib": 0.01}
    async with serving(settings) as client:
        small = await client.post("/v1/files", files={"file": b"x" * 20_000})
        assert small.status_code == 200
        assert (await client.post("/v1/files", files={"file": b"x" * 60_000})).status_code == 413
