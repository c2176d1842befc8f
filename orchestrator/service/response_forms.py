"""OpenAI's Responses request as a chat request: https://platform.openai.com/docs/api-reference/responses/create.

Raises `ValueError` with one sentence that begins with the field's name; `ignored` collects what was left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.chats.message_forms import kind_of
from orchestrator.service.response_tools import LISTS, flat_name, tools

_SAME = frozenset({"model", "temperature", "top_p", "stream", "parallel_tool_calls", "user", "metadata", "collegium"})
"""Fields that a chat request has under the same name."""
_IGNORED = frozenset(
    {
        "background", "client_metadata", "context_management", "include", "max_tool_calls", "moderation",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier",
        "stream_options", "truncation",
    }
)  # fmt: skip
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_ITEM = frozenset(
    {
        "arguments", "call_id", "content", "encrypted_content", "id", "input", "name", "namespace", "output", "phase",
        "role", "status", "summary", "type",
    }
)  # fmt: skip
"""Fields of an item that the form has; what else a client put there is named."""
_NOTES = frozenset(
    {
        "file_search_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "reasoning",
        "tool_search_call",
        "web_search_call",
    }
)
"""Items without a text for the model: what came of them stands in the messages behind them."""
_CALLS = {"apply_patch_call": "operation", "local_shell_call": "action", "shell_call": "action"}
"""Calls of tools that models of OpenAI's know without a schema -> the field with what they are called with."""
_OUTPUTS = {"custom_tool_call_output", "function_call_output", *(f"{kind}_output" for kind in _CALLS)}
_OWN = frozenset({"input", "instructions", "max_output_tokens", "previous_response_id", "reasoning", "store", "text"})
_OWN |= {"tools", "tool_choice", "top_logprobs"}


def as_chat(body: Mapping[str, Any], before: list[dict[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """(a chat request's fields, names of what was ignored). `before`: the messages of the response that this one
    follows, without its instructions. Raises ValueError for a field that cannot be kept."""
    given = {name: value for name, value in body.items() if value is not None}
    if given.get("background") is True:
        raise ValueError("background: responses are answered while you wait; leave it out, or submit a batch")
    if "conversation" in given:
        raise ValueError("conversation: is not kept here; send previous_response_id, or the whole input")
    if unknown := given.keys() - _SAME - _IGNORED - _OWN:
        raise ValueError(f"{min(unknown)}: no such field here; leave it out")
    ignored = {name for name in given.keys() & _IGNORED if given[name] not in (False, "", [], {}, "auto", "disabled")}
    chat = {name: given[name] for name in given.keys() & _SAME}
    instructions = given.get("instructions")
    first = [{"role": "system", "content": instructions}] if instructions else []
    chat["messages"] = [*first, *before, *messages(given.get("input", []), ignored)]
    if "max_output_tokens" in given:
        chat["max_completion_tokens"] = given["max_output_tokens"]
    if given.get("top_logprobs"):
        chat |= {"logprobs": True, "top_logprobs": given["top_logprobs"]}
    if not isinstance(reasoning := given.get("reasoning", {}), dict):
        raise ValueError('reasoning: an object such as {"effort": "low"} is understood')
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    ignored |= {f"reasoning.{name}" for name in reasoning.keys() - {"effort"} if reasoning[name] is not None}
    _text(chat, given.get("text"), ignored)
    tools(chat, given, ignored)
    return chat, ignored


def messages(given: Any, ignored: set[str]) -> list[dict[str, Any]]:
    """A response's input as a chat's messages. Raises ValueError for anything but a text or a list of items."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise ValueError("input: a text or a list of items is needed")
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(given):
        where = f"input.{place}"
        if not isinstance(item, dict):
            raise ValueError(f"{where}: an item must be an object")
        kind = kind_of(item, "message")
        known = _ITEM | ({"tools", "execution"} if kind in LISTS else {_CALLS.get(kind, "type")})
        ignored |= {f"input.{name}" for name in item.keys() - known if item[name] is not None}
        if kind == "message":
            messages.append({"role": item.get("role"), "content": _content(item.get("content"), f"{where}.content")})
        elif kind == "function_call":
            name = flat_name(item.get("namespace"), item.get("name"))
            called(messages, item, {"name": name, "arguments": item.get("arguments")})
        elif kind in LISTS:
            continue  # `tools` reads it
        elif kind in _OUTPUTS:
            output = item.get("output")
            if isinstance(output, list) and kind == "shell_call_output":
                output = json.dumps(output)
            content = _content(output, f"{where}.output")
            messages.append({"role": "tool", "tool_call_id": item.get("call_id") or item.get("id"), "content": content})
        elif kind in _CALLS:
            arguments = json.dumps(item.get(_CALLS[kind]) or {})
            called(messages, item, {"name": kind.removesuffix("_call"), "arguments": arguments})
        elif kind == "custom_tool_call":
            function = {"name": item.get("name"), "arguments": json.dumps({"input": item.get("input")})}
            called(messages, item, function)
        elif kind in _NOTES:
            ignored.add(f"input.{kind}")
        elif kind == "item_reference":
            raise ValueError(
                f"{where}.id: there is no item {str(item.get('id'))[:100]!r} of a response that is kept here"
            )
        else:
            raise ValueError(f"{where}.type: {kind[:50]!r} is not understood; texts and function calls are")
    return messages


def called(messages: list[dict[str, Any]], item: Mapping[str, Any], function: dict[str, Any]) -> None:
    """Add a call to the assistant's turn that it belongs to."""
    call = {"id": item.get("call_id") or item.get("id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def input_items(conversation: Sequence[Mapping[str, Any]], id: str) -> list[dict[str, Any]]:
    """A conversation that `messages` made as items of an input, each with an id of its own within the response `id`."""
    found: list[dict[str, Any]] = []

    def add(kind: str, prefix: str, **fields: Any) -> None:
        name = hashlib.sha256(f"{id} {len(found)}".encode()).hexdigest()[:48]
        found.append({"id": f"{prefix}_{name}", "type": kind, "status": "completed", **fields})

    for message in conversation:
        role, content = message["role"], message.get("content")
        if role == "tool":
            text = content if isinstance(content, str) else "\n".join(part["text"] for part in content or ())
            add("function_call_output", "fco", call_id=message.get("tool_call_id"), output=text)
            continue
        part = "output_text" if role == "assistant" else "input_text"
        parts = [{"text": content}] if isinstance(content, str) else content or []
        extra: dict[str, Any] = {"annotations": [], "logprobs": []} if role == "assistant" else {}
        if parts or not message.get("tool_calls"):
            add("message", "msg", role=role, content=[{"type": part, "text": one["text"], **extra} for one in parts])
        for call in message.get("tool_calls", ()):
            add("function_call", "fc", call_id=call["id"], **call["function"])
    return found


def _content(content: Any, where: str) -> Any:
    if not isinstance(content, list):
        return content
    texts = []
    for place, part in enumerate(content):
        kind = kind_of(part)
        if kind in _TEXTS:
            texts.append({"type": "text", "text": part.get("text")})
        elif kind == "refusal":
            texts.append({"type": "text", "text": part.get("refusal")})
        else:
            raise ValueError(f"{where}.{place}.type: {kind[:50]!r} cannot be sent to these experts, only text")
    return texts


def _text(chat: dict[str, Any], text: Any, ignored: set[str]) -> None:
    if text is None:
        return
    if not isinstance(text, dict):
        raise ValueError('text: an object such as {"format": {"type": "text"}} is understood')
    ignored |= {f"text.{name}" for name in text.keys() - {"format"} if text[name] is not None}
    form = text.get("format")
    if form is None:
        return
    if not isinstance(form, dict):
        raise ValueError('text.format: an object such as {"type": "text"} is understood')
    if form.get("type") == "json_schema":
        inner = {name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None}
        chat["response_format"] = {"type": "json_schema", "json_schema": inner}
    else:
        chat["response_format"] = {"type": form.get("type")}
