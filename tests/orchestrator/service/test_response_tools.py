"""Functions in a namespace are offered, and called by the names that their client gave them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from orchestrator.chats.chat_events import FinishEvent, ToolCallEvent, UsageEvent
from orchestrator.inference.engines.tools import ParsedCall
from orchestrator.service.response_tools import flat_name, namespaces, tools
from orchestrator.service.responses import ResponseForm, stream, whole

READ: Any = {"type": "function", "name": "read", "parameters": {"type": "object"}}
BODY: Any = {
    "tools": [READ, {"type": "namespace", "name": "mail", "tools": [READ, {"type": "custom", "name": "exec"}]}],
    "input": [{"type": "additional_tools", "tools": [{"type": "namespace", "name": "functions", "tools": [
        {**READ, "name": "wait"}]}]}],
}  # fmt: skip


def test_namespaces_become_part_of_a_name() -> None:
    chat: dict[str, Any] = {}
    ignored = set[str]()
    tools(chat, BODY, ignored)
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["read", "mail__read", "wait"]
    assert ignored == {"tools.custom"}
    assert namespaces(BODY) == {"mail__read": ("mail", "read"), "wait": ("functions", "wait")}
    assert flat_name("mail", "read") == "mail__read"
    assert flat_name(None, "read") == flat_name("functions", "read") == "read"


def test_a_choice_within_a_namespace() -> None:
    chat: dict[str, Any] = {}
    tools(chat, {**BODY, "tool_choice": {"type": "function", "namespace": "mail", "name": "read"}}, set())
    assert chat["tool_choice"] == {"type": "function", "name": "mail__read"}


async def events() -> Any:
    yield ToolCallEvent((ParsedCall("mail__read", "{}"), ParsedCall("read", "{}")))
    yield FinishEvent("tool_calls")
    yield UsageEvent(1, 1)


async def keep(_: dict[str, Any]) -> None:
    pass


async def test_a_call_comes_back_in_its_namespace() -> None:
    output = (await whole(events(), ResponseForm(BODY), keep))["output"]
    assert [(item["name"], item.get("namespace")) for item in output] == [("read", "mail"), ("read", None)]
    chunks = [json.loads(chunk.split(b"data: ")[-1]) async for chunk in stream(events(), ResponseForm(BODY), keep)]
    added = [chunk["item"] for chunk in chunks if chunk["type"] == "response.output_item.added"]
    assert [(item["name"], item.get("namespace")) for item in added] == [("read", "mail"), ("read", None)]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_in_a_namespace_can_be_sent_back(client: httpx.AsyncClient, stream: bool) -> None:
    asked = [
        {"role": "user", "content": "a"},
        {"type": "function_call", "namespace": "mail", "name": "read", "call_id": "c", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"role": "user", "content": "history"},
    ]
    answer = await client.post("/v1/responses", json={"model": "words", **BODY, "input": asked, "stream": stream})
    assert answer.status_code == 200, answer.text
    assert "mail__read" in answer.text
