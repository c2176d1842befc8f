"""A chat's events in the form of Anthropic's Messages: one message, or a stream of its events.

https://docs.anthropic.com/en/api/messages-streaming; the official client is the oracle.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import (
    ChatEvents,
    FinishEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)
from orchestrator.service.anthropic_forms import as_chat
from orchestrator.service.chat import Chats, EventStream, reply_headers, until_gone
from orchestrator.service.refusals import Refused, invalid
from orchestrator.service.schema import CountTokensBody, MessagesBody
from orchestrator.service.scopes import scoped

REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def add(api: FastAPI, chats: Chats) -> None:
    """Add the route."""

    @api.post("/v1/messages", openapi_extra=scoped("chat"))
    async def messages(body: MessagesBody, request: Request) -> Response:
        """A chat in Anthropic's form: https://docs.anthropic.com/en/api/messages."""
        fields, chat, ignored = read(body)
        events = chats.events(chat, request, ignored)
        thinking = fields.get("thinking", {}).get("type") == "enabled"
        if chat.stream:
            return EventStream(stream(events, chat.model, thinking), partial(reply_headers, request), failure)
        body_out = await until_gone(request.receive, whole(events, chat.model, thinking))
        return JSONResponse(body_out, headers=reply_headers(request))


def read(body: CountTokensBody) -> tuple[dict[str, Any], ChatBody, set[str]]:
    """(a chat request's fields, the chat, names of what was ignored). Raises `Refused` (400) for what cannot be
    kept."""
    try:
        fields, ignored = as_chat(body.model_dump(exclude_unset=True))
        return fields, ChatBody.model_validate(fields), ignored
    except ValidationError as error:
        raise invalid(error.errors()) from error
    except ValueError as error:
        raise Refused(400, str(error), code="invalid", param=str(error).partition(":")[0]) from error


def failure(error: dict[str, Any]) -> bytes:
    """An error in the middle of a stream."""
    found = error["error"]
    return _event("error", error={"type": found["type"], "message": found["message"]})


async def whole(events: ChatEvents, model: str, thinking: bool = False) -> dict[str, Any]:
    """The message of a request that is not streamed; with what the expert reasoned if `thinking` was asked for."""
    text, thought, calls, reason, usage = "", "", list[dict[str, Any]](), "stop", UsageEvent(0, 0)
    async for event in events:
        match event:
            case ReasoningEvent(more):
                thought += more
            case TextEvent(more):
                text += more
            case ToolCallEvent():
                calls += _calls(event)
            case FinishEvent(why):
                reason = why
            case UsageEvent():
                usage = event
    content = [{"type": "thinking", "thinking": thought, "signature": ""}] if thought and thinking else []
    content += [{"type": "text", "text": text}] if text or not calls else []
    body = _message(model, [*content, *calls], reason, usage)
    return body if usage.explanation is None else {**body, "collegium": usage.explanation}


async def stream(events: ChatEvents, model: str, thinking: bool = False) -> AsyncIterator[bytes]:
    """Server-sent events: the message's start, its blocks, its end with usage."""
    started, index, open_text, reason, usage = False, 0, False, "stop", UsageEvent(0, 0)
    thoughts = False
    """The block of thoughts is open."""
    async for event in events:
        if not started:
            started = True
            yield _event("message_start", message={**_message(model, [], None, usage)})
        if thoughts and not isinstance(event, ReasoningEvent):
            yield _event("content_block_stop", index=index)
            index, thoughts = index + 1, False
        match event:
            case ReasoningEvent(more) if thinking and not open_text:
                if not thoughts:
                    thoughts = True
                    block = {"type": "thinking", "thinking": "", "signature": ""}
                    yield _event("content_block_start", index=index, content_block=block)
                yield _event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": more})
            case TextEvent(more) if more:
                if not open_text:
                    open_text = True
                    yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
                yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": more})
            case ToolCallEvent():
                if open_text:
                    yield _event("content_block_stop", index=index)
                    index, open_text = index + 1, False
                for call in _calls(event):
                    yield _event("content_block_start", index=index, content_block={**call, "input": {}})
                    delta = {"type": "input_json_delta", "partial_json": json.dumps(call["input"])}
                    yield _event("content_block_delta", index=index, delta=delta)
                    yield _event("content_block_stop", index=index)
                    index += 1
            case FinishEvent(why):
                reason = why
            case UsageEvent():
                usage = event
    if open_text:
        yield _event("content_block_stop", index=index)
    end: dict[str, Any] = {"stop_reason": REASONS.get(reason, "end_turn"), "stop_sequence": None}
    tokens = _usage(usage)
    more_fields = {} if usage.explanation is None else {"collegium": usage.explanation}
    yield _event("message_delta", delta=end, usage=tokens, **more_fields)
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _calls(event: ToolCallEvent) -> list[dict[str, Any]]:
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{secrets.token_hex(12)}",
            "name": call.name,
            "input": json.loads(call.arguments),
        }
        for call in event.calls
    ]


def _message(model: str, content: list[Any], reason: str | None, usage: UsageEvent) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": REASONS.get(reason, "end_turn") if reason else None,
        "stop_sequence": None,
        "usage": _usage(usage),
    }


def _usage(usage: UsageEvent) -> dict[str, Any]:
    """Tokens; `cost` in US dollars where it is known."""
    found: dict[str, Any] = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    found |= {"cache_read_input_tokens": usage.cached_tokens} if usage.cached_tokens else {}
    return found if usage.cost is None else found | {"cost": usage.cost}
