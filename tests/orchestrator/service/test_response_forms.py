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
        ({"input": [{"type": "item_reference", "id": "x"}]}, 400, "input.0.id"),
        ({"input": [{"type": "computer_call"}]}, 400, "input.0.type"),
        ({"text": "json"}, 400, "text"),
        ({"text": {"format": "json"}}, 400, "text.format"),
        ({"reasoning": "low"}, 400, "reasoning"),
        ({"tools": ["weather"]}, 400, "tools.0"),
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


async def test_nothing_is_left_out_in_silence_and_a_strict_request_refuses_it(client: httpx.AsyncClient) -> None:
    item = {
        "type": "message",
        "role": "user",
        "content": "Which word?",
        "id": "msg_1",
        "status": "completed",
        "mood": 1,
    }
    body = {"model": "words", "input": [item], "reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-collegium-ignored"] == "input.mood, reasoning.summary, text.verbosity"
    answer = await client.post("/v1/responses", json=body, headers={"X-Collegium-Strict": "true"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input.mood")


async def test_what_was_called_elsewhere_goes_into_the_conversation(client: httpx.AsyncClient) -> None:
    custom = {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"}
    output = {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"}
    asked = [{"role": "user", "content": "patch"}, custom, output, {"type": "web_search_call", "id": "ws_1"}]
    body = {"model": "words", "input": [*asked, {"role": "user", "content": "history"}]}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-collegium-ignored"] == "input.web_search_call"
    (message,) = answer.json()["output"]
    said = message["content"][0]["text"]
    assert "apply_patch" in said
    assert "*** Begin" in said
    assert "done" in said
