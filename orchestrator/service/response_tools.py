"""Tools of OpenAI's Responses as a chat's tools: https://platform.openai.com/docs/api-reference/responses/create.

Functions are offered, those within a namespace too (Codex sends them so, among the tools or as an item of the input),
under a name that holds both. What OpenAI's own servers run, and tools without a schema, are left out and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.chats.message_forms import kind_of

_FIELDS = ("name", "description", "parameters", "strict")
LISTS = frozenset({"additional_tools", "tool_search_output"})
"""Items of the input that hold tools."""
_PLAIN = "functions"
"""The namespace of functions that stand alone."""


def flat_name(namespace: Any, name: Any) -> Any:
    """The one name that a model knows a function by."""
    return name if not isinstance(namespace, str) or namespace in ("", _PLAIN) else f"{namespace}__{name}"


def namespaces(body: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Flat name -> (namespace, name), of the functions that stand in one. `body`: a request that `tools` accepts."""
    return {
        flat_name(space, tool["name"]): (space, tool["name"])
        for _, space, tool in _listed(body)
        if space is not None and isinstance(tool.get("name"), str) and tool.get("type") == "function"
    }


def tools(chat: dict[str, Any], body: Mapping[str, Any], ignored: set[str]) -> None:
    """Set the chat's tools and the choice among them. Raises `ValueError`, naming the field, for what is no tool, and
    for a choice that cannot be kept."""
    kept = []
    for _, space, tool in _listed(body):
        if tool.get("type") == "function":
            function = {name: tool[name] for name in _FIELDS if name in tool}
            kept.append({"type": "function", "function": function | {"name": flat_name(space, tool.get("name"))}})
        else:
            ignored.add(f"tools.{str(tool.get('type'))[:50]}")
    if kept:
        chat["tools"] = kept
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") not in ("function", "allowed_tools"):
        raise ValueError(f"tool_choice: {str(choice.get('type'))[:50]!r} cannot be run here; only functions can")
    if isinstance(choice, dict) and choice.get("namespace"):
        choice = {"type": "function", "name": flat_name(choice["namespace"], choice.get("name"))}
    if choice is not None and (kept or choice != "auto"):
        chat["tool_choice"] = choice


def _listed(body: Mapping[str, Any]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """(where it stands, its namespace, the tool)."""
    places: list[tuple[str, Any]] = [("tools", body.get("tools") or [])]
    given = body.get("input")
    for number, item in enumerate(given if isinstance(given, list) else ()):
        if kind_of(item) in LISTS:
            places.append((f"input.{number}.tools", item.get("tools") or []))
    for place, found in places:
        yield from _within(place, None, found)


def _within(where: str, space: str | None, found: Any) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    if not isinstance(found, list):
        raise ValueError(f"{where}: a list is needed")
    for place, tool in enumerate(found):
        here = f"{where}.{place}"
        if not isinstance(tool, dict):
            raise ValueError(f"{here}: an object is needed")
        if tool.get("type") != "namespace" or space is not None:
            yield here, space, tool
        elif isinstance(tool.get("name"), str):
            yield from _within(f"{here}.tools", tool["name"], tool.get("tools") or [])
        else:
            raise ValueError(f"{here}.name: a namespace needs one")
