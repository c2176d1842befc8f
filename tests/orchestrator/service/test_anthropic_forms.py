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
        ({"output_config": "low"}, 400, "output_config"),
        ({"output_config": {"effort": "huge"}}, 400, "reasoning_effort"),
        ({"output_config": {"format": {"type": "text"}}}, 400, "output_config.format"),
        ({"output_format": "json"}, 400, "output_format"),
        ({"tools": "weather"}, 400, "tools"),
        ({"tools": ["weather"]}, 400, "tools.0"),
        ({"tool_choice": "auto"}, 400, "tool_choice"),
        ({"tool_choice": {"type": "any"}}, 400, "tool_choice"),
        ({"tools": [{"type": "web_search_20250305"}], "tool_choice": {"type": "any"}}, 400, "tool_choice"),
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


async def test_nothing_is_left_out_in_silence_and_a_strict_request_refuses_it(client: httpx.AsyncClient) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "broken", "is_error": True}
    turns = [*ASKED, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result], "id": "m1"}]
    tool = {"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": True}
    body = {"model": "words", "max_tokens": 5, "messages": turns, "tools": [tool]}
    body |= {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "low", "odd": 1}}
    answer = await client.post("/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-collegium-ignored"].split(", ") == [
        "messages.content.is_error", "messages.id", "output_config.odd", "thinking.budget_tokens",
        "tools.eager_input_streaming",
    ]  # fmt: skip
    answer = await client.post("/v1/messages", json=body, headers={"X-Collegium-Strict": "true"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages.content.is_error")


@pytest.mark.parametrize("place", ["output_config", "output_format"])
async def test_a_reply_by_schema(client: httpx.AsyncClient, place: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form: Any = {"type": "json_schema", "schema": schema}
    body = {"model": "words", "max_tokens": 50, "messages": ASKED}
    body[place] = {"format": form} if place == "output_config" else form
    answer = await client.post("/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"][0]["text"] == '{"a": 0}'
