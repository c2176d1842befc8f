"""An agent: a langchain-core chat model with a name, and how one reply is had from it.

Any chat model will do: an expert of a zoo, LangChain's own for some provider, or one at an OpenAI-compatible URL;
a panel may mix them. A model that fails, times out or refuses costs its own reply and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.prompts import EXPLANATION_LIMIT, Messages

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, whatever a server asks for."""
ERROR_LIMIT = 500
CUT = ("length", "max_tokens", "MAX_TOKENS")
"""What chat models call the end of a reply at its token limit."""

REPLY_SCHEMA: Mapping[str, Any] = {
    "title": "Reply",
    "type": "object",
    "properties": {
        "reasoning": {"type": "string", "maxLength": EXPLANATION_LIMIT},
        "answer": {"type": "string", "maxLength": 200},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["reasoning", "answer", "confidence"],
    "additionalProperties": False,
}
"""What an agent with `structured` is held to. Bounded, so that a weak model does not reason until its reply is cut."""

_SECRET = re.compile(r"(?i)\b(bearer\s+|api[-_ ]?key['\":= ]+)\S+|\b(sk|pk|key|hf|gsk)[-_][\w-]{8,}")


class ChatModel(Protocol):
    """As much of a langchain-core `BaseChatModel` as agents use."""

    async def ainvoke(self, input: Any, /) -> Any:
        """Answer messages; returns one chat message."""
        ...

    def with_structured_output(self, schema: Any, /, *, include_raw: bool) -> Any:
        """A model whose replies are held to `schema`."""
        ...


@dataclass(frozen=True)
class Agent:
    """One member of a panel. Prices are per million tokens, in any one currency."""

    name: str
    chat: ChatModel
    model: str = ""
    """What plays it; as `name` where empty."""
    structured: bool = False
    """Hold the model to `schema`; else its text is read as it comes."""
    schema: Mapping[str, Any] = field(default_factory=lambda: REPLY_SCHEMA)
    """JSON schema of a structured reply; by default reasoning, answer and confidence."""
    excused: bool = False
    """A failure in this seat does not keep its model from being asked in another one."""
    timeout: float | None = None
    """Seconds for one reply, all attempts together. None: as long as it takes (it may wait for its turn in a batch)."""
    attempts: int = 4
    """How often a reply is asked for, while a server says that it is busy."""
    confidence: float | None = None
    """What is known of it beforehand, 0..1: its static confidence, such as its accuracy on validation questions."""
    prompt_price: float = 0.0
    completion_price: float = 0.0
    fatal: tuple[type[BaseException], ...] = ()
    """Errors that are not the agent's own and end the conversation, such as a full disk."""


@dataclass(frozen=True, slots=True)
class AgentReply:
    """One reply as it came; with `error` set there was none."""

    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    cached: bool = False
    key: str | None = None
    logprobs: tuple[tuple[str, float], ...] = ()
    """(token, log-probability), where the model gives them."""
    error: str | None = None
    thoughts: str = ""
    """What the model thought and did not say, where it comes apart from the text."""
    cut: bool = False
    """The token limit ended it."""


async def ask(agent: Agent, messages: Messages) -> AgentReply:
    """One reply to a prompt. Only the agent's `fatal` errors are raised; all others become `AgentReply.error`.

    While a server is busy (HTTP 429 and the like) the agent is asked again, after as long as the server says, else
    after 0.5, 1, 2 ... seconds.
    """
    began = time.perf_counter()
    try:
        if agent.timeout is None:
            return _reply_of(agent, await _attempts(agent, messages), began)
        async with asyncio.timeout(agent.timeout):
            return _reply_of(agent, await _attempts(agent, messages), began)
    except Exception as error:
        if isinstance(error, agent.fatal):
            raise
        late = agent.timeout is not None and isinstance(error, TimeoutError)
        message = f"no reply within {agent.timeout or 0:g} s" if late else _error_text(error, agent.chat)
        return AgentReply(error=message, seconds=time.perf_counter() - began)


async def _attempts(agent: Agent, messages: Messages) -> Any:
    model: Any = agent.chat.with_structured_output(agent.schema, include_raw=True) if agent.structured else agent.chat
    for attempt in range(agent.attempts):
        try:
            reply = await model.ainvoke(messages)
            return reply["raw"] if agent.structured else reply
        except Exception as error:
            pause = _pause(error, attempt)
            if pause is None or attempt + 1 == agent.attempts:
                raise
            await asyncio.sleep(pause)
    raise ValueError(f"agent {agent.name!r}: attempts must be at least 1")


def _pause(error: Exception, attempt: int) -> float | None:
    """Seconds until the next attempt; None where another one is of no use."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if status not in RETRIED and type(error).__name__ != "RateLimitError":
        return None
    headers = getattr(response, "headers", None) or {}
    try:
        asked = float(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        asked = 0.5 * 2**attempt
    return min(max(asked, 0.0), LONGEST_PAUSE)


def _reply_of(agent: Agent, message: Any, began: float) -> AgentReply:
    """A message, with its usage and log-probabilities in OpenAI's layout."""
    text = _text(message)
    usage = getattr(message, "usage_metadata", None) or {}
    metadata = getattr(message, "response_metadata", None) or {}
    prompt, completion = int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0))
    content = (metadata.get("logprobs") or {}).get("content") or ()
    return AgentReply(
        text=text,
        prompt_tokens=prompt,
        completion_tokens=completion,
        seconds=float(metadata.get("seconds", time.perf_counter() - began)),
        cost=_cost(agent, metadata.get("cost"), prompt, completion),
        cached=bool(metadata.get("cached", False)),
        key=metadata.get("key"),
        logprobs=tuple((str(entry["token"]), float(entry["logprob"])) for entry in content),
        thoughts=str(metadata.get("reasoning") or ""),
        cut=(metadata.get("finish_reason") or metadata.get("stop_reason")) in CUT,
    )


def _cost(agent: Agent, stated: Any, prompt: int, completion: int) -> float:
    """What the reply cost: as its model states it, else by the agent's prices."""
    if isinstance(stated, int | float) and not isinstance(stated, bool) and 0 <= stated < float("inf"):
        return float(stated)
    return (prompt * agent.prompt_price + completion * agent.completion_price) / 1e6


def _text(message: Any) -> str:
    content = message.content
    if isinstance(content, str):
        # A model held to a schema by way of a tool says nothing and calls the tool.
        calls = () if content else getattr(message, "tool_calls", ())
        return json.dumps(calls[0]["args"]) if calls else content
    blocks: Sequence[Any] = content if isinstance(content, Sequence) else ()
    parts = (block if isinstance(block, str) else block.get("text", "") for block in blocks)
    return "".join(part for part in parts if isinstance(part, str))


def _error_text(error: Exception, chat: object) -> str:
    """An error in one bounded line, without the model's key or anything that looks like one."""
    text = f"{type(error).__name__}: {str(error)[:10_000]}"
    for value in getattr(chat, "__dict__", {}).values():
        reveal = getattr(value, "get_secret_value", None)
        secret = reveal() if callable(reveal) else None
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return " ".join(_SECRET.sub("***", text).split())[:ERROR_LIMIT]
