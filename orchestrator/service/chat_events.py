"""What comes of a chat, piece by piece, whoever answers it: the two renderings (`replies`) are made of these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.inference.engines.tools import ParsedCall
from orchestrator.inference.request import FinishReason, TokenLogprob


@dataclass(frozen=True, slots=True)
class TextEvent:
    """More text of one choice."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    index: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallEvent:
    """One choice calls tools."""

    calls: tuple[ParsedCall, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class FinishEvent:
    """One choice is complete."""

    reason: FinishReason | Literal["tool_calls"]
    index: int = 0


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Something happened while several experts were at work: told to a stream as it happens."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """Last: what it cost, and how the answer came about."""

    prompt_tokens: int
    completion_tokens: int
    explanation: dict[str, Any] | None = None


ChatEvent = TextEvent | ToolCallEvent | FinishEvent | ProgressEvent | UsageEvent
ChatEvents = AsyncIterator[ChatEvent]
