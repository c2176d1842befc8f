"""Replies, streamed or whole."""

from __future__ import annotations

from typing import Any

import httpx

from tests.scripts.one_question import events, post

EASY = "Easy.\nAnswer: a\nConfidence: 0.9"


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
