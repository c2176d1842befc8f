"""Anthropic's Messages request as a chat request: https://docs.anthropic.com/en/api/messages.

Raises `ValueError` with one sentence that begins with the field's name; `ignored` collects what was left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SAME = frozenset({"model", "temperature", "top_p", "top_k", "stream", "max_tokens"})
_IGNORED = frozenset({"cache_control", "container", "context_management", "mcp_servers", "metadata", "service_tier"})
_IGNORED |= {"anthropic_beta", "anthropic_version", "betas"}
_OWN = frozenset({"messages", "system", "stop_sequences", "tools", "tool_choice", "thinking", "output_config"})
_OWN |= {"output_format"}

_OF_ANTHROPIC = re.compile(r"[a-z_]+_[0-9]{8}|mcp_toolset")
"""Tools that Anthropic's own servers know or run, such as web_search_20250305."""


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
        ignored |= {f"thinking.{name}" for name in thinking.keys() - {"type"} if thinking[name] is not None}
    _tools(chat, given, ignored)
    _output(chat, given, ignored)
    return chat, ignored


def _output(chat: dict[str, Any], given: Mapping[str, Any], ignored: set[str]) -> None:
    """The form and the effort that are wanted of the reply."""
    config = given.get("output_config", {})
    if not isinstance(config, dict):
        raise ValueError('output_config: an object such as {"effort": "low"} is understood')
    ignored |= {f"output_config.{name}" for name in config.keys() - {"format", "effort"} if config[name] is not None}
    if config.get("effort") is not None:
        chat["reasoning_effort"] = config["effort"]
    field, form = "output_config.format", config.get("format")
    if form is None:
        field, form = "output_format", given.get("output_format")
    if form is None:
        return
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise ValueError(f'{field}: {{"type": "json_schema", "schema": ...}} is understood')
    chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}


def _turns(message: Any, where: str, ignored: set[str]) -> list[dict[str, Any]]:
    """One message as a chat's messages: results of tools are turns of their own there."""
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
        raise ValueError(f"{where}.role: must be user or assistant")
    role, content = message["role"], message.get("content")
    ignored |= {f"messages.{name}" for name in message.keys() - {"role", "content"} if message[name] is not None}
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
            known = {"type", "tool_use_id", "content"}
            ignored |= {f"messages.content.{name}" for name in block.keys() - known if block[name]}
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
    tools, choice = given.get("tools", []), given.get("tool_choice", {})
    if not isinstance(tools, list):
        raise ValueError("tools: a list is needed")
    if not isinstance(choice, dict):
        raise ValueError('tool_choice: an object such as {"type": "auto"} is understood')
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise ValueError(f"tools.{place}: an object is needed")
        if tool.get("type") not in (None, "custom"):
            if not _OF_ANTHROPIC.fullmatch(str(tool["type"])):
                raise ValueError(f"tools.{place}.type: {str(tool['type'])[:50]!r} is none of Anthropic's: leave it out")
            ignored.add(f"tools.{str(tool['type'])[:50]}")
            continue
        known = {"type", "name", "description", "input_schema"}
        ignored |= {f"tools.{name}" for name in tool.keys() - known if tool[name] is not None}
        function = {"name": tool.get("name"), "description": tool.get("description")}
        kept.append({"type": "function", "function": {**function, "parameters": tool.get("input_schema")}})
    if kept:
        chat["tools"] = kept
    if choice.get("type") not in (None, "auto", "none") or (choice and kept):
        if choice.get("disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
        chat["tool_choice"] = {name: choice[name] for name in ("type", "name") if name in choice}
