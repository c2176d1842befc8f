"""Tools: one expert may call them, whoever it is; several experts together may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

CALLER = '''
"""An expert that looks at the weather once, and tells what it was told."""
import json

def caller(messages, seed):
    text = messages[-1][1]
    if text.startswith("<tool_response>"):
        return "It is " + text.split()[1]
    if "Rain" not in text:
        return f"No need, I see {len(messages)} messages of {len(messages[0][1].split('name'))} parts"
    call = {"name": "weather", "arguments": {"city": text.split()[-1]}}
    say = lambda one: "<tool_call>\\n" + json.dumps(one) + "\\n</tool_call>"
    return "I look. " + say(call) + (" " + say(call) if "twice" in text else "")
'''
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"$ref": "#/$defs/City"}},
            "required": ["city"],
            "$defs": {"City": {"type": "string", "enum": ["Ulm", "Bonn"]}},
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
USER: list[Any] = [{"role": "user", "content": "Rain in Ulm"}]


@pytest.fixture
def settings(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "calling.py").write_text(CALLER)
    settings["experts"]["caller"] = {"script": "calling:caller"}
    return settings


async def ask(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    asked = {"model": "caller", "messages": USER, "tools": [WEATHER], **body}
    return await client.post("/v1/chat/completions", json=asked)


async def choice(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await ask(client, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["choices"][0]
    return found


def test_the_official_client_calls_and_is_answered(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        first = client.chat.completions.create(model="caller", messages=USER, tools=[WEATHER])  # type: ignore[list-item]
        said = first.choices[0]
        assert (said.finish_reason, said.message.content) == ("tool_calls", "I look. ")
        assert said.message.tool_calls
        (call,) = said.message.tool_calls
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Ulm"})
        told = {"role": "tool", "tool_call_id": call.id, "content": "dry"}
        second = client.chat.completions.create(
            model="caller",
            messages=[*USER, said.message.model_dump(), told],
            tools=[WEATHER],  # type: ignore[list-item]
        )
        assert (second.choices[0].finish_reason, second.choices[0].message.content) == ("stop", "It is dry")


def test_a_stream_tells_text_at_once_and_calls_at_the_end(url: str) -> None:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.stream(
            model="caller",
            messages=[{"role": "user", "content": "Rain twice in Bonn"}],
            tools=[WEATHER],  # type: ignore[list-item]
        ) as stream,
    ):
        events = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert "content.delta" in events[: events.index("tool_calls.function.arguments.delta")]
    assert final.finish_reason == "tool_calls"
    assert final.message.content == "I look. "
    assert [call.function.arguments for call in final.message.tool_calls or ()] == ['{"city": "Bonn"}'] * 2


async def test_langchain_tools(url: str) -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model="caller", max_retries=0)  # type: ignore[arg-type]
    reply = await chat.bind_tools([WEATHER]).ainvoke("Rain in Ulm")
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("weather", {"city": "Ulm"})]  # type: ignore[attr-defined]
    await chat.root_async_client.close()
    chat.root_client.close()


async def test_a_choice_of_tools_is_kept_to(client: httpx.AsyncClient) -> None:
    dry: list[Any] = [{"role": "user", "content": "Hello"}]
    free = await choice(client, messages=dry, tool_choice="auto")
    assert (free["finish_reason"], free["message"]["content"]) == ("stop", "No need, I see 2 messages of 5 parts")
    assert "tool_calls" not in free["message"]
    unseen = await choice(client, messages=dry, tool_choice="none")
    assert unseen["message"]["content"] == "No need, I see 1 messages of 1 parts"
    for demand in ("required", {"type": "function", "function": {"name": "weather"}}):
        forced = await choice(client, messages=dry, tool_choice=demand)
        (call,) = forced["message"]["tool_calls"]
        assert (forced["finish_reason"], forced["message"]["content"]) == ("tool_calls", None)
        assert json.loads(call["function"]["arguments"]) == {"city": "Ulm"}
    clock = {"type": "function", "function": {"name": "clock"}}
    forced = await choice(client, messages=dry, tools=[WEATHER, CLOCK], tool_choice=clock)
    assert forced["message"]["tool_calls"][0]["function"] == {"name": "clock", "arguments": "{}"}
    twice: list[Any] = [{"role": "user", "content": "Rain twice in Ulm"}]
    assert len((await choice(client, messages=twice))["message"]["tool_calls"]) == 2
    assert len((await choice(client, messages=twice, parallel_tool_calls=False))["message"]["tool_calls"]) == 1
    cut = await choice(client, max_tokens=5)
    assert (cut["finish_reason"], "<tool_call>" in cut["message"]["content"]) == ("length", True)
    several = (await ask(client, n=3)).json()["choices"]
    assert [len(one["message"]["tool_calls"]) for one in several] == [1] * 3


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"model": "vote", "tool_choice": "required"}, "tools"),
        ({"model": "mixture", "collegium": {"kind": "yesno"}, "tool_choice": "required"}, "tools"),
        ({"model": "reconcile", "tools": None, "messages": [*USER, {"role": "assistant", "tool_calls": [
            {"id": "c", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "dry"}, *USER]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "name"),
        ({"tools": [WEATHER, WEATHER]}, "two functions"),
        ({"tools": [{"type": "function", "function": {"name": name, "description": "y" * 99_000}} for name in "abc"]},
         "more than"),
        ({"tools": None, "tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "clock"}}}, "tool_choice"),
        ({"response_format": {"type": "regex", "value": "a+"}}, "response_format"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [
            {"id": "c", "function": {"name": "weather", "arguments": "{}"}}]}]}, "tool_calls"),
        ({"tool_choice": "required", "tools": [WEATHER, {"type": "function", "function": {"name": "b", "parameters":
            {"type": "object", "$defs": {"City": {"type": "integer"}}}}}]}, "City"),
    ],
)  # fmt: skip
async def test_what_cannot_be_kept_is_refused(client: httpx.AsyncClient, body: dict[str, Any], named: str) -> None:
    response = await ask(client, **body)
    assert response.status_code == 400, response.text
    assert named in response.json()["error"]["message"]
