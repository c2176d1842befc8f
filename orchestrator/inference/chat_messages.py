"""LangChain's messages as experts receive them, and a reply's calls of tools as LangChain has them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.tool import ToolCall, tool_call

from orchestrator.errors import RequestError
from orchestrator.inference.engines.tools import parse_calls
from orchestrator.inference.request import PromptMessage

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "chat": "user", "tool": "tool"}


def prompt_messages(messages: Sequence[BaseMessage]) -> tuple[PromptMessage, ...]:
    """Role and text of each. Raises `RequestError` for a role or a content that experts do not take."""
    return tuple((_role(message), _text(message)) for message in messages)


def tool_turns(messages: Sequence[BaseMessage]) -> dict[int, dict[str, Any]]:
    """What messages have besides their texts, as `ToolHistory.turns` has it."""
    found: dict[int, dict[str, Any]] = {}
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            found[number] = {"tool_call_id": message.tool_call_id} | ({"name": message.name} if message.name else {})
        elif isinstance(message, AIMessage) and message.tool_calls:
            calls = [(call["id"] or "call", call["name"], json.dumps(call["args"])) for call in message.tool_calls]
            found[number] = {
                "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
                    for id, name, arguments in calls
                ]
            }
    return found


def openai_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """In OpenAI's form. Raises `RequestError` as `prompt_messages`."""
    turns = tool_turns(messages)
    return [
        {"role": role, "content": text, **turns.get(number, {})}
        for number, (role, text) in enumerate(prompt_messages(messages))
    ]


def tool_calls(text: str, names: Collection[str], *, single: bool = False) -> tuple[str, list[ToolCall]]:
    """(what is left as text, calls of the tools `names`); `single`: the first call only."""
    rest, calls = parse_calls(text, names) if names else (text, [])
    return rest, [
        tool_call(name=call.name, args=json.loads(call.arguments), id=f"call_{secrets.token_hex(12)}")
        for call in calls[: 1 if single else None]
    ]


def _role(message: BaseMessage) -> str:
    role = _ROLES.get(message.type)
    if role is None:
        raise RequestError(f"experts do not take messages of type {message.type!r}")
    return str(getattr(message, "role", role))


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        if isinstance(block, dict) and block.get("type") not in ("text", "tool_call", "tool_use", None):
            raise RequestError(f"experts take text only, not content of type {block['type']!r}")
    return str(message.text)
