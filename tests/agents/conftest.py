"""Agents that say what a test wants them to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from agents.agent import Agent
from agents.conversation import converse
from agents.discussions import SchemeOptions, build
from agents.question import Question
from agents.transcript import Transcript


class Message:
    """As much of an AIMessage as agents read."""

    def __init__(self, content: Any, tokens: int = 3) -> None:
        self.content = content
        self.usage_metadata = {"input_tokens": 10, "output_tokens": tokens}
        self.response_metadata: dict[str, Any] = {}


class Actor:
    """A chat model that replies with what it was given, one after the other, the last one again and again. A reply
    may be a text, an error to raise, or a function of the messages."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.received: list[Any] = []

    async def ainvoke(self, messages: Any) -> Any:
        self.received.append(messages)
        reply = self.replies[min(len(self.received), len(self.replies)) - 1]
        await asyncio.sleep(0)
        if callable(reply):
            reply = reply(messages)
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Message) else Message(reply)


def said(answer: object, confidence: float = 0.9, reason: str = "Because.") -> str:
    return f"{reason}\nAnswer: {answer}\nConfidence: {confidence}"


class Stage:
    """Short words for the tests."""

    Actor = Actor
    Message = Message
    said = staticmethod(said)

    @staticmethod
    def agents(*scripts: Sequence[Any], **options: Any) -> list[Agent]:
        """One agent a script: a, b, c, ..."""
        return [Agent(chr(ord("a") + place), Actor(*script), **options) for place, script in enumerate(scripts)]

    @staticmethod
    def question(kind: str = "number", answer: str | None = "2", **fields: Any) -> Question:
        return Question.model_validate({"id": "q", "question": "1 + 1?", "kind": kind, "answer": answer, **fields})

    @staticmethod
    def prompts(agent: Agent) -> list[str]:
        """What an agent was asked, as one text a call."""
        chat: Any = agent.chat
        return ["\n".join(message["content"] for message in messages) for messages in chat.received]


@pytest.fixture(scope="session")
def stage() -> type[Stage]:
    return Stage


async def discussed(
    stage: type[Stage],
    name: str,
    agents: Any,
    question: Any = None,
    terms: Any = None,
    **scheme: Any,
) -> Transcript:
    return await converse(
        question or stage.question(), agents, build(name, SchemeOptions(**scheme)), name=name, terms=terms
    )


@pytest.fixture
def run() -> Callable[..., Coroutine[Any, Any, Transcript]]:
    return discussed
