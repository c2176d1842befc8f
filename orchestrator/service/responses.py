"""A chat's events in the form of OpenAI's Responses: one object, or a stream of its events.

https://platform.openai.com/docs/api-reference/responses-streaming; the official client is the oracle.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.chats.chat_events import (
    ChatEvents,
    FinishEvent,
    ProgressEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)
from orchestrator.inference.chat import logprobs_content
from orchestrator.inference.request import TokenLogprob
from orchestrator.service.response_tools import namespaces

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
Keep = Callable[[dict[str, Any]], Awaitable[None]]
"""Called with the finished response, before the client hears of its end."""


@dataclass(slots=True)
class ResponseForm:
    """What all events of one response have in common."""

    body: Mapping[str, Any]
    """The request as it came."""
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def response(self, status: str, output: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
        """The response object as it stands."""
        asked = self.body
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "metadata": asked.get("metadata") or {},
            "model": asked.get("model"),
            "output": list(output),
            "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
            "previous_response_id": asked.get("previous_response_id"),
            "reasoning": asked.get("reasoning") or {},
            "service_tier": "default",
            "store": asked.get("store") is not False,
            "temperature": asked.get("temperature"),
            "text": asked.get("text") or {"format": {"type": "text"}},
            "tool_choice": asked.get("tool_choice") or "auto",
            "tools": asked.get("tools") or [],
            "top_p": asked.get("top_p"),
            "truncation": "disabled",
            "usage": None,
            "user": asked.get("user"),
            **more,
        }


@dataclass(slots=True)
class Output:
    """The items of a response as they grow."""

    spaces: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Functions that stand in a namespace: what the model calls them -> (namespace, name)."""
    reasoning: str = ""
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "stop"
    usage: UsageEvent = field(default_factory=lambda: UsageEvent(0, 0))
    reasoning_id: str = field(default_factory=lambda: f"rs_{secrets.token_hex(24)}")
    message_id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(24)}")

    def take(self, event: Any) -> None:
        """Add one event of the chat."""
        match event:
            case TextEvent(text, logprobs):
                self.text += text
                self.logprobs.extend(logprobs)
            case ProgressEvent(event=progress) if "text" in progress:
                self.reasoning += progress_text(progress)
            case ReasoningEvent(text) if not self.text:
                self.reasoning += text
            case ToolCallEvent(calls):
                self.calls += [
                    {
                        "id": f"fc_{secrets.token_hex(24)}",
                        "type": "function_call",
                        "call_id": f"call_{secrets.token_hex(12)}",
                        "arguments": call.arguments,
                        "status": "completed",
                        **self._named(call.name),
                    }
                    for call in calls
                ]
            case FinishEvent(reason):
                self.reason = reason
            case UsageEvent():
                self.usage = event

    def _named(self, name: str) -> dict[str, str]:
        if name not in self.spaces:
            return {"name": name}
        space, inner = self.spaces[name]
        return {"name": inner, "namespace": space}

    def items(self) -> list[dict[str, Any]]:
        """The items, complete."""
        found: list[dict[str, Any]] = [self.thoughts("completed")] if self.reasoning else []
        if self.text or not self.calls:
            status = "incomplete" if self.reason in INCOMPLETE else "completed"
            found.append(self.message([self.part()], status))
        return [*found, *self.calls]

    def thoughts(self, status: str) -> dict[str, Any]:
        """The reasoning item."""
        content = [{"type": "reasoning_text", "text": self.reasoning}] if status == "completed" else []
        return {"id": self.reasoning_id, "type": "reasoning", "summary": [], "content": content, "status": status}

    def message(self, content: list[Any], status: str) -> dict[str, Any]:
        """The message item."""
        return {"id": self.message_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self) -> dict[str, Any]:
        """The text part of the message, with log-probabilities if they were asked for."""
        logprobs = logprobs_content(tuple(self.logprobs)) if self.logprobs else []
        return {"type": "output_text", "text": self.text, "annotations": [], "logprobs": logprobs}


def finished(output: Output, form: ResponseForm) -> dict[str, Any]:
    """The whole response object."""
    found, why = output.usage, INCOMPLETE.get(output.reason)
    usage: dict[str, Any] = {
        "input_tokens": found.prompt_tokens,
        "input_tokens_details": {"cached_tokens": found.cached_tokens},
        "output_tokens": found.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": found.reasoning_tokens},
        "total_tokens": found.prompt_tokens + found.completion_tokens,
    }
    usage |= {} if found.cost is None else {"cost": found.cost}
    more = {"collegium": found.explanation} if found.explanation is not None else {}
    return form.response(
        "incomplete" if why else "completed",
        output.items(),
        usage=usage,
        incomplete_details={"reason": why} if why else None,
        **more,
    )


async def whole(events: ChatEvents, form: ResponseForm, keep: Keep) -> dict[str, Any]:
    """The response of a request that is not streamed."""
    output = Output(namespaces(form.body))
    async for event in events:
        output.take(event)
    response = finished(output, form)
    await keep(response)
    return response


async def stream(events: ChatEvents, form: ResponseForm, keep: Keep) -> AsyncIterator[bytes]:
    """Server-sent events, each named and numbered. The first one comes with the first event of the chat, so that what
    fails before it is an ordinary error."""
    output, count = Output(namespaces(form.body)), 0
    opened: list[str] = []
    """Kinds of the items that were begun, in their order."""

    def tell(kind: str, **fields: Any) -> bytes:
        nonlocal count
        body = json.dumps({"type": kind, "sequence_number": count, **fields})
        count += 1
        return f"event: {kind}\ndata: {body}\n\n".encode()

    def place(kind: str, item: dict[str, Any]) -> tuple[int, bytes]:
        if kind in opened:
            return opened.index(kind), b""
        opened.append(kind)
        index = len(opened) - 1
        return index, tell("response.output_item.added", output_index=index, item=item)

    async for event in events:
        if not count:
            yield tell("response.created", response=form.response("in_progress"))
            yield tell("response.in_progress", response=form.response("in_progress"))
        output.take(event)
        thought = _thought(event)
        if thought and "message" not in opened:
            index, begun = place("reasoning", output.thoughts("in_progress"))
            at = {"item_id": output.reasoning_id, "output_index": index, "content_index": 0}
            yield begun + tell("response.reasoning_text.delta", **at, delta=thought)
        elif isinstance(event, TextEvent) and event.text:
            if opened == ["reasoning"]:
                yield _thoughts_done(tell, output)
            first = "message" not in opened
            index, begun = place("message", output.message([], "in_progress"))
            at = {"item_id": output.message_id, "output_index": index, "content_index": 0}
            if first:
                empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
                begun += tell("response.content_part.added", **at, part=empty)
            logprobs = logprobs_content(event.logprobs) if event.logprobs else []
            yield begun + tell("response.output_text.delta", **at, delta=event.text, logprobs=logprobs)
    if opened == ["reasoning"]:
        yield _thoughts_done(tell, output)
    response = finished(output, form)
    if "message" in opened:
        at = {"item_id": output.message_id, "output_index": opened.index("message"), "content_index": 0}
        part = output.part()
        yield tell("response.output_text.done", **at, text=part["text"], logprobs=part["logprobs"])
        yield tell("response.content_part.done", **at, part=part)
    for index, item in enumerate(response["output"]):
        if item["type"] == "message" and "message" not in opened:
            yield tell("response.output_item.added", output_index=index, item=output.message([], "in_progress"))
        if item["type"] == "function_call":
            at = {"item_id": item["id"], "output_index": index}
            started = {**item, "arguments": "", "status": "in_progress"}
            yield tell("response.output_item.added", output_index=index, item=started)
            yield tell("response.function_call_arguments.delta", **at, delta=item["arguments"])
            yield tell("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
        if item["type"] != "reasoning":
            yield tell("response.output_item.done", output_index=index, item=item)
    await keep(response)
    yield tell(f"response.{response['status']}", response=response)


def failure(error: dict[str, Any]) -> bytes:
    """An error in the middle of a stream."""
    found = error["error"]
    body = {"type": "error", "sequence_number": 0, **{name: found[name] for name in ("code", "message", "param")}}
    return f"event: error\ndata: {json.dumps(body)}\n\n".encode()


def _thoughts_done(tell: Callable[..., bytes], output: Output) -> bytes:
    at = {"item_id": output.reasoning_id, "output_index": 0}
    done = tell("response.reasoning_text.done", **at, content_index=0, text=output.reasoning)
    return done + tell("response.output_item.done", output_index=0, item=output.thoughts("completed"))


def _thought(event: Any) -> str:
    if isinstance(event, ReasoningEvent):
        return event.text
    return progress_text(event.event) if isinstance(event, ProgressEvent) and "text" in event.event else ""


def progress_text(progress: Mapping[str, Any]) -> str:
    """What an expert said on the way to the answer."""
    return f"{progress.get('expert', 'an expert')}: {str(progress['text']).strip()}\n\n"
