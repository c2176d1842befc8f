"""A chat of one question, whole or as the events of a stream."""

from __future__ import annotations

import json
from typing import Any

import httpx

USER = [{"role": "user", "content": "Which word?"}]


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


async def events(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await post(client, stream=True, **body)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]
