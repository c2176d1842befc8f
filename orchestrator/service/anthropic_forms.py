"""Anthropic's Messages request as a chat request: https://docs.anthropic.com/en/api/messages.

Raises `ValueError` with one sentence that begins with the field's name; `ignored` collects what was left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SAME = frozenset({"model", "temperature", "top_p", "top_k", "stream", "max_tokens"})
_IGNORED = frozenset({"cache_control", "container", "context_management", "mcp_servers", "metadata", "service_tier"})
_OWN = frozenset({"messages", "system", "stop_sequences", "tools", "tool_choice", "thinking", "output_config"})


def as_chat(body: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """(a chat request's fields, names of what was ignored). Raises ValueError for a field that does not exist here."""
    given = {name: value for name, value in body.items() if value is not None}
    if unknown := given.keys() - _SAME - _IGNORED - _OWN:
        raise ValueError(f"{min(unknown)}: no such field here; leave it out")
    ignored = {name for name in given.keys() & _IGNORED if given[name] not in ([], {})}
    chat = {name: given[name] for name in given.keys() & _SAME}
    system = _text(given["system"], "system", ignored) if "system" in given else ""
    chat["messages"] = [{"role": "system", "content": system}] if system else []
    for place, message in enumerate(given["messages"]):
        chat["messages"] += _turns(message, f"messages.{place}", ignored)
    if stops := given.get("stop_sequences"):
        chat["stop"] = stops
    if (thinking := given.get("thinking")) is not None:
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        if kind not in ("enabled", "disabled", "adaptive"):
            raise ValueError('thinking: {"type": "enabled"}, "adaptive" or "disabled" is understood')
        chat["thinking"] = {"type": "disabled" if kind == "disabled" else "enabled"}
    _tools(chat, given, ignored)
    form = (given.get("output_config") or {}).get("format") if isinstance(given.get("output_config"), dict) else None
    if isinstance(form, dict):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}
    return chat, ignored


def _turns(message: Any, where: str, ignored: set[str]) -> list[dict[str, Any]]:
    """One message as a chat's messages: results of tools are turns of their own there."""
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
        raise ValueError(f"{where}.role: must be user or assistant")
    role, content = message["role"], message.get("content")
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    results, texts, calls = [], [], []
    for place, block in enumerate(content):
        here = f"{where}.content.{place}"
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            texts.append(_text([block], here, ignored))
        elif kind == "tool_use" and role == "assistant":
            function = {"name": block.get("name"), "arguments": json.dumps(block.get("input") or {})}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind == "tool_result" and role == "user":
            text = _text(block.get("content") or "", f"{here}.content", ignored)
            results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text})
        elif kind in ("thinking", "redacted_thinking"):
            ignored.add(f"messages.content.{kind}")
        else:
            raise ValueError(f"{here}.type: {str(kind)[:50]!r} cannot be sent to these experts, only text and tools")
    turn: dict[str, Any] = {"role": role, "content": "\n".join(texts)}
    if calls:
        turn["tool_calls"] = calls
    return [*results, *([turn] if texts or calls or not results else [])]


def _text(content: Any, where: str, ignored: set[str]) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError(f"{where}: a text or a list of text blocks is needed")
    texts = []
    for place, block in enumerate(content):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            kind = str(block.get("type") if isinstance(block, dict) else block)[:50]
            raise ValueError(f"{where}.{place}: {kind!r} cannot be sent to these experts, only text")
        ignored |= {f"content.{name}" for name in block.keys() - {"type", "text"} if block[name] is not None}
        texts.append(block["text"])
    return "\n".join(texts)


def _tools(chat: dict[str, Any], given: Mapping[str, Any], ignored: set[str]) -> None:
    kept = []
    for place, tool in enumerate(given.get("tools") or []):
        if not isinstance(tool, dict) or tool.get("type", "custom") != "custom":
            ignored.add(f"tools.{str(tool.get('type') if isinstance(tool, dict) else place)[:50]}")
            continue
        function = {"name": tool.get("name"), "description": tool.get("description")}
        kept.append({"type": "function", "function": {**function, "parameters": tool.get("input_schema")}})
    if kept:
        chat["tools"] = kept
    choice = given.get("tool_choice")
    if isinstance(choice, dict) and kept:
        if choice.get("disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
        chat["tool_choice"] = {name: choice[name] for name in ("type", "name") if name in choice}
