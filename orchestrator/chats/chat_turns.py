"""A chat as methods see it: the last user turn is the question; around it stands what was said before and since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import RequestError
from orchestrator.inference.engines.tools import plain_messages
from orchestrator.inference.request import PromptMessage
from orchestrator.inference.tool_history import ToolHistory

MAX_QUESTION = 100_000
"""Characters of a last user turn."""


@dataclass(frozen=True)
class ChatTurns:
    """The parts of one chat."""

    question: str
    """The last user turn."""
    history: tuple[PromptMessage, ...]
    """The messages before it."""
    whole: tuple[PromptMessage, ...]
    """All messages."""
    before: tuple[PromptMessage, ...]
    """What stands before a prompt about the question: the history, and where tools were called since the question, it
    and those calls with their results; as texts of system, user and assistant."""
    of_tools: bool = False
    """Whether tools are offered, or were called."""
    tool_rounds: int = 0
    """Messages with calls of tools since the question."""


def chat_turns(
    messages: Sequence[PromptMessage], tool_turns: Mapping[int, Mapping[str, Any]], *, tools: bool
) -> ChatTurns:
    """The parts of a chat. `tool_turns`: as `ToolHistory.turns`; `tools`: whether any are offered. Raises
    `RequestError` for a chat that ends otherwise than with a user's turn, or with results of tools since one."""
    place = max((number for number, (role, _) in enumerate(messages) if role == "user"), default=-1)
    if place < 0 or messages[-1][0] not in ("user", "tool") or not messages[place][1].strip():
        raise RequestError("messages: the last message must be a user's, and not empty, or the result of a tool")
    question = messages[place][1]
    if len(question) > MAX_QUESTION:
        raise RequestError(f"messages: the last user message has more than {MAX_QUESTION} characters")
    shown = messages[:place] if place == len(messages) - 1 else messages
    return ChatTurns(
        question,
        tuple(messages[:place]),
        tuple(messages),
        tuple(plain_messages(ToolHistory(turns=tool_turns), shown)) if tool_turns else tuple(shown),
        tools or bool(tool_turns),
        sum("tool_calls" in tool_turns.get(number, {}) for number in range(place + 1, len(messages))),
    )
