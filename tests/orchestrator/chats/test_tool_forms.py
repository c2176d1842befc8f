# ruff: noqa: E501  (tables are read by the line)
"""Tools and choices of tools, as clients spell them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.chats.chat_body import ChatBody

HELLO = [{"role": "user", "content": "Which word?"}]

FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}

TOOL = {"type": "function", "function": FUNCTION}

OTHER = {"type": "function", "function": {"name": "server/other:2"}}


def read(**body: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "m", "messages": HELLO, **body})


@pytest.mark.parametrize(
    ("choice", "names", "wanted"),
    [
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}, ["server/other:2"], "required"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}, ["look"], "auto"),
        ("any", ["look", "server/other:2"], "required"),
        ({"type": "any"}, ["look", "server/other:2"], "required"),
        ({"type": "none"}, [], "none"),
    ],
)  # fmt: skip
def test_choices_of_tools_as_clients_spell_them(choice: Any, names: list[str], wanted: str) -> None:
    chat = read(tools=[TOOL, OTHER], tool_choice=choice)
    assert ([tool.function.name for tool in chat.offered_tools], chat.tool_choice) == (names, wanted)
