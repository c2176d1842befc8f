"""The replies of several experts on the way to one answer: counted, and told as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from agents.analysis import parse_analysis
from orchestrator.chats.chat_events import ProgressEvent, TextEvent, UsageEvent
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.failure_log import log_failure
from orchestrator.errors import CollegiumError, no_answer
from orchestrator.inference.expert import Expert
from orchestrator.inference.prices import paid, total
from orchestrator.inference.request import Completion, FinishReason

MAX_REPLIES = 64
"""Replies that an analysis may be about."""


class ReplyEvents:
    """What the experts replied so far: counted, and queued for a stream."""

    def __init__(self, health: ExpertHealth, experts: Mapping[str, Expert]) -> None:
        self.failures: dict[str, CollegiumError] = {}
        """Expert -> its last failure."""
        self._health = health
        self._experts = experts
        self._costs: list[float | None] = []
        self.events: asyncio.Queue[ProgressEvent | TextEvent | None] = asyncio.Queue()
        self.streamed = False
        """Whether a part of the answer's text was handed on."""
        self._replies: list[Completion] = []
        self._calls: dict[str, int] = {}

    def holds(self, expert: Expert) -> bool:
        """Whether the text of an expert must not be handed on before it is whole."""
        return expert.remote is not None and self._health.holds(expert.name)

    def text(self, text: str) -> None:
        """Hand on a part of the answer."""
        self.streamed = True
        self.events.put_nowait(TextEvent(text))

    def reply(self, expert: str, completion: Completion) -> None:
        """Count a reply on the way to the answer, and show it."""
        number = self._count(expert, completion)
        text = shown_reply(completion.text)
        self.events.put_nowait(ProgressEvent({"expert": expert, "reply": number, "text": text}))

    def streamed_reply(self, expert: str, completion: Completion) -> None:
        """Count a reply whose text was handed on as it came."""
        self._count(expert, completion)

    def _count(self, expert: str, completion: Completion) -> int:
        self._replies.append(completion)
        self._costs.append(paid(self._experts[expert], completion))
        if not completion.cached:
            self._health.well(expert)
        number = self._calls[expert] = self._calls.get(expert, 0) + 1
        return number

    def failure(self, expert: str, error: CollegiumError) -> None:
        """An expert failed; the others go on."""
        if self.failures.get(expert) is None:
            log_failure(error, expert, replaced=True)
        self.failures[expert] = error
        self._health.failed(expert, error)

    def no_answer(self) -> CollegiumError:
        """What to raise where no expert gave an answer."""
        return no_answer({name: error for name, error in self.failures.items() if name not in self._calls})

    def finish_reason(self, text: str) -> FinishReason:
        """Why the reply ended that is given as the answer, or whose reasoning the answer begins with."""
        same = [one for one in self._replies if one.text.strip() == text.strip()]
        reasoning = text.rpartition("\nAnswer:")[0].strip()
        same = same or [one for one in self._replies if reasoning and one.text.strip().startswith(reasoning)]
        return same[-1].finish_reason if same else "stop"

    def account(self, explanation: dict[str, Any]) -> UsageEvent:
        """What all replies cost together."""
        replies = self._replies
        counts = {"calls": len(replies), "cached_calls": sum(one.cached for one in replies)}
        return UsageEvent(
            sum(one.prompt_tokens for one in replies),
            sum(one.completion_tokens for one in replies),
            explanation | {"experts": list(self._calls), **counts, **failures_json(self.failures)},
            cached_tokens=sum(one.usage.cached_tokens for one in replies if one.usage),
            reasoning_tokens=sum(one.usage.reasoning_tokens for one in replies if one.usage),
            cost=total(self._costs),
            experts=tuple(self._calls),
        )


def failures_json(failures: Mapping[str, CollegiumError]) -> dict[str, Any]:
    """Experts that failed and the code of each failure, as an explanation tells it; nothing where none did."""
    return {"failed": {name: error.code for name, error in failures.items()}} if failures else {}


def slow_json(slow: Sequence[str]) -> dict[str, Any]:
    """Experts that kept silent so long that another one was asked, too."""
    return {"slow": list(slow)} if slow else {}


def shown_reply(text: str) -> str:
    """A reply on the way to the answer, as people read it: a judge's analysis line by line."""
    found = parse_analysis(text, MAX_REPLIES) if text.lstrip().startswith("{") else None
    return text if found is None or found.empty else found.lines()
