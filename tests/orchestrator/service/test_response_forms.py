"""Bodies of Responses: refused by name, or named as left out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"input": []}, 400, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, 400, "input.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file": "x"}]}]}, 400, "input.0.content.0"),
        ({"background": True}, 400, "background"),
        ({"conversation": "c"}, 400, "conversation"),
        ({"surprise": 1}, 400, "surprise"),
        ({"temperature": 3}, 400, "temperature"),
        ({"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, 400, "tool_choice"),
        ({"previous_response_id": "resp_none"}, 404, "resp_none"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, named: str, stream: bool
) -> None:
    asked = {"model": "words", "input": "Which word?", "stream": stream, **body}
    answer = await client.post("/v1/responses", json=asked)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]["message"]


async def test_what_openais_own_servers_do_is_left_out_and_named(client: httpx.AsyncClient) -> None:
    body = {"model": "words", "input": "Which word?", "tools": [{"type": "web_search"}], "service_tier": "flex"}
    answer = await client.post("/v1/responses", json=body)
    assert answer.headers["x-collegium-ignored"] == "service_tier, tools.web_search"
