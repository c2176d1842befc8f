"""Text completions in OpenAI's older form: a prompt as it is, without a chat template.

https://platform.openai.com/docs/api-reference/completions. Programs that score texts (`echo`, `logprobs`) use it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from orchestrator.chats.chat_events import ChatEvents, FinishEvent, PromptEvent, TextEvent, UsageEvent
from orchestrator.inference.request import TokenLogprob
from orchestrator.service.chat import Chats, EventStream, reply_headers, until_gone
from orchestrator.service.completion_body import CompletionBody
from orchestrator.service.replies import DONE, usage_json
from orchestrator.service.scopes import scoped


@dataclass(slots=True)
class CompletionForm:
    """What all events of one response have in common."""

    model: str
    echo: bool
    logprobs: bool
    include_usage: bool = False
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(16)}")
    created: int = field(default_factory=lambda: int(time.time()))
    offsets: dict[int, int] = field(default_factory=dict)
    """Choice -> characters that its text had so far."""

    def body(self, choices: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """A response, or an event of one."""
        head = {"id": self.id, "object": "text_completion", "created": self.created, "model": self.model}
        return {**head, "choices": list(choices), **more}

    def choice(
        self, index: int, text: str = "", tokens: Sequence[TokenLogprob] = (), reason: str | None = None
    ) -> dict[str, Any]:
        """A choice, or what an event adds to one."""
        found = self._logprobs(index, tokens) if self.logprobs and (tokens or text) else None
        return {"index": index, "text": text, "logprobs": found, "finish_reason": reason}

    def _logprobs(self, index: int, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        start, offsets = self.offsets.get(index, 0), []
        first = index not in self.offsets and self.echo  # the prompt's first token follows nothing
        for token in tokens:
            offsets.append(start)
            start += len(token.token)
        self.offsets[index] = start
        chances: list[float | None] = [token.logprob for token in tokens]
        tops: list[dict[str, float] | None] = [{**dict(token.top), token.token: token.logprob} for token in tokens]
        if first and tokens:
            chances[0], tops[0] = None, None
        names = [token.token for token in tokens]
        return {"tokens": names, "token_logprobs": chances, "top_logprobs": tops, "text_offset": offsets}


def add(api: FastAPI, chats: Chats) -> None:
    """Add the route."""

    @api.post("/v1/completions", openapi_extra=scoped("chat"))
    async def completions(body: CompletionBody, request: Request) -> Response:
        """Go on with prompts as they are: https://platform.openai.com/docs/api-reference/completions/create."""
        found = chats.completions(body, request)
        form = CompletionForm(body.model, body.echo, body.logprobs is not None, body.include_usage)
        if body.stream:
            return EventStream(events(found, form), partial(reply_headers, request))
        content = await until_gone(request.receive, whole(found, form))
        return JSONResponse(content, headers=reply_headers(request))


async def whole(chat_events: ChatEvents, form: CompletionForm) -> dict[str, Any]:
    """The body of a response that is not streamed."""
    texts: dict[int, str] = {}
    tokens: dict[int, list[TokenLogprob]] = {}
    reasons: dict[int, str] = {}
    prompts: dict[int, dict[str, Any]] = {}
    account = UsageEvent(0, 0)
    async for event in chat_events:
        match event:
            case TextEvent(text, logprobs, index):
                texts[index] = texts.get(index, "") + text
                tokens.setdefault(index, []).extend(logprobs)
            case PromptEvent(index=index):
                prompts[index] = {"prompt_logprobs": event.listed}
            case FinishEvent(reason, index):
                reasons[index] = reason
            case UsageEvent():
                account = event
    choices = [
        form.choice(one, texts.get(one, ""), tokens.get(one, ()), reasons[one]) | prompts.get(one, {})
        for one in sorted(reasons)
    ]
    return form.body(choices, usage=usage_json(account))


async def events(chat_events: ChatEvents, form: CompletionForm) -> AsyncIterator[bytes]:
    """Server-sent events: texts, finishes, usage if asked for, [DONE]."""
    more = {"usage": None} if form.include_usage else {}
    async for event in chat_events:
        match event:
            case TextEvent(text, logprobs, index):
                yield _data(form.body([form.choice(index, text, logprobs)], **more))
            case FinishEvent(reason, index):
                yield _data(form.body([form.choice(index, reason=reason)], **more))
            case UsageEvent() if form.include_usage:
                yield _data(form.body([], usage=usage_json(event)))
    yield DONE


def _data(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
