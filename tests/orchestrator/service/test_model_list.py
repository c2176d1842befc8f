"""What `/v1/models` says of each model id."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


async def test_an_expert_is_listed_with_its_context_prices_and_readiness(
    settings: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    remote = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    settings["experts"] |= {
        "far": {**remote, "context": 4096, "prices": {"input": 1.5, "output": 6.0}},
        "keyless": {**remote, "api_key_env": "ABSENT_KEY"},
    }
    settings["experts"]["words"]["context"] = 512
    async with serving(settings) as client:
        found = {one["id"]: one for one in (await client.get("/v1/models")).json()["data"]}
        assert (await client.get("/v1/models/far")).json() == found["far"]
    assert (found["words"]["kind"], found["words"]["max_model_len"], found["words"]["prices"]) == ("expert", 512, None)
    assert found["far"]["prices"]["input"] == 1.5
    assert (found["far"]["ready"], found["far"]["max_model_len"]) == (True, 4096)
    assert (found["keyless"]["ready"], found["keyless"]["max_model_len"]) == (False, None)
    assert found["keyless"]["why_not"] == "the service's environment lacks ABSENT_KEY"
    assert (found["vote"]["ready"], found["vote"]["why_not"], "prices" in found["vote"]) == (True, None, False)
    assert found["best"]["ready"] is False
    assert "no profile" in found["best"]["why_not"]


async def test_what_can_be_asked_now_is_listed_first(
    settings: dict[str, Any], serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    settings["experts"]["keyless"] = {"url": "http://127.0.0.1:9/v1", "model": "m", "api_key_env": "ABSENT_KEY"}
    async with serving(settings) as client:
        before = [(one["id"], one["ready"]) for one in (await client.get("/v1/models")).json()["data"]]
        assert before[0] == (next(iter(settings["experts"])), True)
        assert [ready for _, ready in before] == sorted((ready for _, ready in before), reverse=True)
        assert {name for name, ready in before if not ready} >= {"keyless", "mixture", "best", "symbolic-moe"}


async def test_tools_that_need_not_be_called_are_left_out_where_experts_share_none(client: httpx.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    body = {"model": "vote", "messages": [{"role": "user", "content": "Is it late?"}], "tools": [tool]}
    for stream in (False, True):
        response = await client.post("/v1/chat/completions", json={**body, "stream": stream})
        assert (response.status_code, response.headers["X-Collegium-Ignored"]) == (200, "tools")
    blocks = {"model": "vote", "max_tokens": 9, "messages": body["messages"]}
    blocks["tools"] = [{"name": "clock", "input_schema": {"type": "object"}}]
    assert (await client.post("/v1/messages", json=blocks)).headers["X-Collegium-Ignored"] == "tools"
    response = await client.post("/v1/chat/completions", json={**body, "model": "words"})
    assert (response.status_code, "X-Collegium-Ignored" in response.headers) == (200, False)
    strict = await client.post("/v1/chat/completions", json=body, headers={"X-Collegium-Strict": "true"})
    assert (strict.status_code, strict.json()["error"]["param"]) == (400, "tools")
    calls = [{"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]
    called = [*body["messages"], {"role": "assistant", "tool_calls": calls}]
    called.append({"role": "tool", "tool_call_id": "c", "content": "no"})
    for needed in ({"tool_choice": "required"}, {"messages": called}):
        refused = await client.post("/v1/chat/completions", json={**body, **needed})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools"), needed
