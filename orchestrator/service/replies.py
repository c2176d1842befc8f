"""A chat's parts in OpenAI's two forms: one body, or a stream of events."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.chats.chat_events import (
    ChatEvents,
    FinishEvent,
    ProgressEvent,
    PromptEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)
from orchestrator.inference.chat import logprobs_content
from orchestrator.inference.request import TokenLogprob

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class ReplyForm:
    """What all events of one reply have in common, and what its client asked for."""

    model: str
    logprobs: bool = False
    include_usage: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(16)}")
    created: int = field(default_factory=lambda: int(time.time()))


async def whole(chat_events: ChatEvents, form: ReplyForm) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    texts: dict[int, list[str]] = {}
    reasonings: dict[int, list[str]] = {}
    tokens: dict[int, list[TokenLogprob]] = {}
    calls: dict[int, ToolCallEvent] = {}
    reasons: dict[int, str] = {}
    prompt: list[Any] = []
    account = UsageEvent(0, 0)
    async for event in chat_events:
        match event:
            case TextEvent(text, logprobs, index):
                texts.setdefault(index, []).append(text)
                tokens.setdefault(index, []).extend(logprobs)
            case PromptEvent(index=0):
                prompt = event.listed
            case ReasoningEvent(text, index):
                reasonings.setdefault(index, []).append(text)
            case ToolCallEvent(index=index):
                calls[index] = event
            case FinishEvent(reason, index):
                reasons[index] = reason
            case UsageEvent():
                account = event
            case ProgressEvent():
                pass  # the explanation has it
    body: dict[str, Any] = {
        "id": form.id,
        "object": "chat.completion",
        "created": form.created,
        "model": form.model,
        "choices": [
            {
                "index": index,
                "message": _message(
                    "".join(texts.get(index, ())), calls.get(index), "".join(reasonings.get(index, ()))
                ),
                "logprobs": _logprobs(tokens.get(index, ())) if form.logprobs else None,
                "finish_reason": reasons[index],
            }
            for index in sorted(reasons)
        ],
        "usage": usage_json(account),
    }
    if prompt:
        body["prompt_logprobs"] = prompt
    if account.explanation is not None:
        body["collegium"] = account.explanation
    return body


async def events(chat_events: ChatEvents, form: ReplyForm) -> AsyncIterator[bytes]:
    """Server-sent events: role, content, finish (with the explanation), usage if asked for, [DONE]. Only the usage's
    event has no choices. What experts say on the way to a common answer is `reasoning_content`: chat pages fold it."""
    head = json.dumps(
        {"id": form.id, "object": "chat.completion.chunk", "created": form.created, "model": form.model}
    ).removesuffix("}")
    usage = ', "usage": null' if form.include_usage else ""
    begun: set[int] = set()
    finish: FinishEvent | None = None
    """The last finish: it waits for the explanation that goes with it."""

    def chunk(index: int, delta: str, logprobs: str = "null", reason: str = "null", more: str = "") -> bytes:
        choice = f'{{"index": {index}, "delta": {delta}, "logprobs": {logprobs}, "finish_reason": {reason}}}'
        return f'data: {head}, "choices": [{choice}]{usage}{more}}}\n\n'.encode()

    def begin(index: int) -> bytes:
        if index in begun:
            return b""
        begun.add(index)
        return chunk(index, '{"role": "assistant", "content": ""}')

    def end(more: str = "") -> bytes:
        nonlocal finish
        if finish is None:
            return b""
        ended, finish = finish, None
        return begin(ended.index) + chunk(ended.index, "{}", reason=f'"{ended.reason}"', more=more)

    async for event in chat_events:
        match event:
            case TextEvent(text, tokens, index):
                logprobs = json.dumps(_logprobs(tokens)) if form.logprobs else "null"
                yield end() + begin(index) + chunk(index, f'{{"content": {json.dumps(text)}}}', logprobs)
            case ReasoningEvent(text, index):
                yield end() + begin(index) + chunk(index, json.dumps({"reasoning_content": text}))
            case ToolCallEvent(index=index):
                delta = json.dumps({"tool_calls": [{"index": n, **call} for n, call in enumerate(_calls(event))]})
                yield end() + begin(index) + chunk(index, delta)
            case FinishEvent():
                if ended := end():
                    yield ended
                finish = event
            case ProgressEvent(progress):
                delta = json.dumps(_reasoning(progress))
                yield end() + begin(0) + chunk(0, delta, more=f', "collegium": {json.dumps({"event": progress})}')
            case UsageEvent(explanation=explanation, cost=cost):
                paid = {} if cost is None else {"cost": cost, "experts": list(event.experts)}
                details = paid if explanation is None else paid | explanation
                more = f', "collegium": {json.dumps(details)}' if details else ""
                if ended := end(more):
                    yield ended
                if form.include_usage:
                    yield f'data: {head}, "choices": [], "usage": {json.dumps(usage_json(event))}}}\n\n'.encode()
    yield end() + DONE


def _reasoning(event: dict[str, Any]) -> dict[str, str]:
    """An expert's reply on the way to the answer, as chat pages show thoughts."""
    if "text" not in event:
        return {}
    return {"reasoning_content": f"{event.get('expert', 'an expert')}: {event['text'].strip()}\n\n"}


def failure(error: dict[str, Any]) -> bytes:
    """An error in the middle of a stream."""
    return f"data: {json.dumps(error)}\n\n".encode() + DONE


def _message(text: str, calls: ToolCallEvent | None, reasoning: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls is not None:
        message |= {"content": text or None, "tool_calls": _calls(calls)}
    return message


def _calls(calls: ToolCallEvent) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls.calls
    ]


def usage_json(account: UsageEvent) -> dict[str, Any]:
    """The tokens, as OpenAI counts them, and the cost where it is known."""
    prompt, completion = account.prompt_tokens, account.completion_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if account.cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": account.cached_tokens}
    if account.reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": account.reasoning_tokens}
    return usage if account.cost is None else usage | {"cost": account.cost}


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"content": logprobs_content(tuple(tokens)), "refusal": None}
