"""Replies, streamed or whole."""

from __future__ import annotations

import json
from typing import Any

import httpx

USER = [{"role": "user", "content": "Which word?"}]

EASY = "Easy.\nAnswer: a\nConfidence: 0.9"


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


async def events(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await post(client, stream=True, **body)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_draws_differ_unless_a_seed_is_given(client: httpx.AsyncClient) -> None:
    async def say(**body: Any) -> list[str]:
        choices = (await post(client, model="coins", temperature=1, **body)).json()["choices"]
        return [choice["message"]["content"] for choice in choices]

    assert len({*await say(n=3), *await say(n=3)}) == 6
    assert await say(n=2, seed=7) == await say(n=2, seed=7)


async def test_several_streamed_choices(client: httpx.AsyncClient) -> None:
    texts = ["", ""]
    for event in await events(client, n=2):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [EASY, EASY]
