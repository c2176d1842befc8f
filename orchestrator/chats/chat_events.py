"""What comes of a chat, piece by piece, whoever answers it: the two renderings (`replies`) are made of these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.inference.engines.tools import ParsedCall
from orchestrator.inference.request import FinishReason, PromptLogprobs, TokenLogprob


@dataclass(frozen=True, slots=True)
class TextEvent:
    """More text of one choice."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    index: int = 0


@dataclass(frozen=True, slots=True)
class PromptEvent:
    """What a whole reply tells of its prompt's tokens."""

    logprobs: PromptLogprobs
    index: int = 0

    @property
    def listed(self) -> list[dict[str, dict[str, float | int | str]] | None]:
        """In vLLM's form: null for the first token, then id -> logprob, rank and decoded_token."""
        return [
            {str(id): {"logprob": logprob, "rank": rank, "decoded_token": text} for id, text, logprob, rank in place}
            or None
            for place in self.logprobs
        ]


@dataclass(frozen=True, slots=True)
class ReasoningEvent:
    """More of what an expert reasons before it replies, where its server sends it."""

    text: str
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
    cached_tokens: int = 0
    """Prompt tokens that a remote expert's server had in its cache."""
    reasoning_tokens: int = 0
    """Completion tokens that were reasoning, where a remote expert's server counts them."""
    cost: float | None = None
    """US dollars paid for it; None: not known."""
    experts: tuple[str, ...] = ()
    """Whose replies were used or paid for."""
    stored: bool = False
    """All of it came from the ledger: it says nothing of how the experts are now."""


ChatEvent = TextEvent | PromptEvent | ReasoningEvent | ToolCallEvent | FinishEvent | ProgressEvent | UsageEvent
ChatEvents = AsyncIterator[ChatEvent]
