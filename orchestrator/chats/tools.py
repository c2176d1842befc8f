"""Tools in a chat with one expert: what its engine is told, and which calls are in what it says."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

from orchestrator.chats.chat_body import ChatBody, NamedTool
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, TextEvent, ToolCallEvent
from orchestrator.errors import RequestError
from orchestrator.inference.engines.tools import begins, parse_calls
from orchestrator.inference.request import Sampling
from orchestrator.inference.tool_history import ToolHistory


def with_tools(chat: ChatBody, sampling: Sampling, remote: bool) -> Sampling:
    """`sampling` with the chat's tools. A remote server is told `tool_choice` and `response_format` as they are; a
    local engine that must call is held to the JSON of a call, and one that may call or answer in a schema to either of
    the two. Raises `RequestError` for a demand that cannot be kept."""
    definitions_given, turns = chat.offered_tools, chat.turns
    if not definitions_given and not turns:
        return sampling
    definitions = [tool.model_dump(exclude_none=True) for tool in definitions_given]
    choice: Any = chat.tool_choice.model_dump() if isinstance(chat.tool_choice, NamedTool) else chat.tool_choice
    tool_history = ToolHistory(definitions, choice, chat.parallel_tool_calls, turns)
    free = choice in (None, "auto")
    if not definitions_given or remote or (free and sampling.structured is None):
        return replace(sampling, tools=tool_history)
    wanted = {choice["function"]["name"]} if isinstance(choice, dict) else tool_history.names
    schema = _schema_of_a_call([one["function"] for one in definitions if one["function"]["name"] in wanted])
    if free and sampling.structured is not None:
        schema = _either(schema, json.loads(sampling.structured))
    return replace(sampling, tools=tool_history, structured=json.dumps({"json": schema}, sort_keys=True))


def _either(call: dict[str, Any], structured: dict[str, Any]) -> dict[str, Any]:
    """A schema for a call or for an answer. Raises `RequestError` where the two cannot stand in one schema."""
    if "json" not in structured:
        raise RequestError("response_format: beside tools a JSON schema is needed, no pattern and no choice")
    answer = dict(structured["json"]) if isinstance(structured["json"], dict) else {}
    shared = dict[str, Any]()
    for one in (call, answer):
        for key in ("$defs", "definitions"):
            for name, definition in (one.pop(key, None) or {}).items():
                if shared.setdefault(key, {}).setdefault(name, definition) != definition:
                    raise RequestError(f"response_format: it and the tools define {key}.{name[:80]} differently")
    return {"anyOf": [call, answer], **shared}


def _schema_of_a_call(functions: list[dict[str, Any]]) -> dict[str, Any]:
    calls, shared = [], dict[str, Any]()
    for function in functions:
        parameters = dict(function.get("parameters") or {"type": "object"})
        for name, definition in (parameters.pop("$defs", None) or {}).items():
            if shared.setdefault(name, definition) != definition:
                raise RequestError(f"tools: two functions define $defs.{name[:80]} differently")
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"type": "string", "enum": [function["name"]]}, "arguments": parameters},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {**schema, "$defs": shared} if shared else schema


async def with_calls(chat_events: ChatEvents, chat: ChatBody) -> ChatEvents:
    """The parts, with calls where the text has some. Text goes on at once as far as no call can have begun."""
    names = frozenset(tool.function.name for tool in chat.offered_tools)
    held: dict[int, str] = defaultdict(str)
    begun: set[int] = set()
    async for event in chat_events:
        match event:
            case TextEvent(text, logprobs, index) if names:
                text = held[index] + text
                free = begins(text, first=index not in begun)
                held[index] = text[free:]
                if free:
                    begun.add(index)
                if free or logprobs:
                    yield TextEvent(text[:free], logprobs, index)
            case FinishEvent(reason, index) if held.get(index):
                rest, calls = parse_calls(held.pop(index), names)
                if rest:
                    yield TextEvent(rest, (), index)
                if calls:
                    yield ToolCallEvent(tuple(calls[:1] if chat.parallel_tool_calls is False else calls), index)
                yield FinishEvent("tool_calls" if calls and reason == "stop" else reason, index)
            case _:
                yield event
