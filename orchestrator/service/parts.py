"""What comes of a chat, piece by piece, whoever answers it: the two renderings (`replies`) are made of these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.inference.engines.tools import Call
from orchestrator.inference.request import FinishReason, TokenLogprob


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of one choice."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    index: int = 0


@dataclass(frozen=True, slots=True)
class Calls:
    """One choice calls tools."""

    calls: tuple[Call, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """One choice is complete."""

    reason: FinishReason | Literal["tool_calls"]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened while several experts were at work: told to a stream as it happens."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """Last: what it cost, and how the answer came about."""

    prompt_tokens: int
    completion_tokens: int
    explanation: dict[str, Any] | None = None


Part = Piece | Calls | End | Note | Account
Parts = AsyncIterator[Part]
