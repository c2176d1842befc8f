"""Anthropic's bodies: what is refused by name, and what has no meaning here."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

ASKED: Any = [{"role": "user", "content": "Rain?"}]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, 400, "messages.0.content.0"),
        ({"surprise": 1}, 400, "surprise"),
        ({"temperature": 9}, 400, "temperature"),
        ({"thinking": "x"}, 400, "thinking"),
        ({"thinking": {"type": "much"}}, 400, "thinking"),
        ({"max_tokens": None}, 400, "max_tokens"),
    ],
    ids=str,
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, named: str
) -> None:
    answer = await client.post("/v1/messages", json={"model": "words", "max_tokens": 5, "messages": ASKED, **body})
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]["message"]
    assert answer.json()["type"] == "error"


async def test_what_has_no_meaning_here_is_named(client: httpx.AsyncClient) -> None:
    block = {"type": "text", "text": "Which word?", "cache_control": {"type": "ephemeral"}}
    body = {
        "model": "words",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [block]}],
        "metadata": {"user_id": "u"},
    }
    body["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
    answer = await client.post("/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-collegium-ignored"] == "content.cache_control, metadata, tools.web_search_20250305"
