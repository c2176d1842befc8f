"""Tools in a chat with one expert: what its engine is told, and which calls are in what it says."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from orchestrator.chats.chat_body import ChatBody, NamedTool
from orchestrator.chats.chat_events import ChatEvents, FinishEvent, TextEvent, ToolCallEvent
from orchestrator.inference.engines.tools import begins, parse_calls
from orchestrator.inference.request import Sampling
from orchestrator.inference.tool_sampling import tool_sampling


def with_tools(chat: ChatBody, sampling: Sampling, remote: bool) -> Sampling:
    """`sampling` with the chat's tools: see `tool_sampling`. Raises `RequestError` for a demand that cannot be kept."""
    definitions = [tool.model_dump(exclude_none=True) for tool in chat.offered_tools]
    choice: Any = chat.tool_choice.model_dump() if isinstance(chat.tool_choice, NamedTool) else chat.tool_choice
    return tool_sampling(sampling, definitions, choice, chat.parallel_tool_calls, chat.turns, remote=remote)


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
