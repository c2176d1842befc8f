"""`MethodChat`: `mixture`, `fusion` or any other method as a langchain-core chat model, without a service.

It is answered by the same functions as a chat at the service, and refuses the same things by the same names.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import ConfigDict, Field, ValidationError

from agents.question import AnswerKind
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import (
    ChatEvent,
    ChatEvents,
    FinishEvent,
    ProgressEvent,
    ReasoningEvent,
    TextEvent,
    ToolCallEvent,
    UsageEvent,
)
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.loop_thread import LoopThread
from orchestrator.chats.methods import method_events, methods_of
from orchestrator.chats.protocols import ServiceRouting, Zoo
from orchestrator.errors import RequestError
from orchestrator.evaluation.methods import Method
from orchestrator.fusion_config import Preset
from orchestrator.inference.chat_messages import openai_messages
from orchestrator.inference.chat_model import BatchedChatModel


class LocalChats:
    """What the method chats of one zoo share: the router, the experts' health, a loop."""

    def __init__(self, zoo: Zoo, routing: ServiceRouting) -> None:
        self.zoo = zoo
        self.routing = routing
        self.methods: Mapping[str, Method] = methods_of(zoo.config)
        self.health = ExpertHealth()
        self.loop = LoopThread("chats")

    def events(self, chat: ChatBody, max_wait: float | None) -> ChatEvents:
        """What comes of a chat with a method."""
        return method_events(self.zoo, self.routing, self.health, self.methods, chat, max_wait)


class MethodChat(BatchedChatModel):
    """A method of answering as one chat model. Everything runs on one loop of its own, whatever thread or loop asks, so
    that calls meet in the engines' batches."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    chats: LocalChats = Field(exclude=True, repr=False)
    method: str
    max_tokens: int | None = Field(default=None, ge=1)
    """None: what the context holds."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stop: list[str] | None = None
    seed: int | None = None
    kind: AnswerKind = "open"
    """Kind of answer that is wanted: experts vote on all kinds but `open`."""
    choices: dict[str, str] | None = None
    """Lettered options; the kind is `choice` then."""
    recruit: int | None = Field(default=None, ge=1)
    preset: Preset | None = None
    """Of fusion."""
    explain: bool = False
    """Whether the reply's metadata has the whole transcript."""
    streaming: bool = False
    """`invoke` and `ainvoke` stream inside, so that callbacks hear every part."""
    max_wait: float | None = None
    """Seconds that a caller is ready to wait for its turn; None: as long as it takes."""

    @property
    def _llm_type(self) -> str:
        return "collegium-method"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        fingerprints = {name: expert.fingerprint for name, expert in self.chats.zoo.experts.items()}
        return {"method": self.method, "experts": fingerprints, **self._settings(), **self._extension()}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"], params["ls_model_name"] = "collegium", kwargs.get("model", self.method)
        if self.temperature is not None:
            params["ls_temperature"] = self.temperature
        return params

    def _check_blocking(self) -> None:
        self.chats.zoo.pool.refuse_own_thread()

    def _settings(self) -> dict[str, Any]:
        names = ("max_tokens", "temperature", "top_p", "stop", "seed")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _extension(self) -> dict[str, Any]:
        names = ("kind", "choices", "recruit", "preset", "explain")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _events(self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, options: Any) -> ChatEvents:
        structured = options.pop("structured", None)
        options.pop("ls_structured_output_format", None)
        max_wait = options.pop("max_wait", self.max_wait)
        extension = {**self._extension(), **{key: options.pop(key) for key in list(options) if key in _EXTENSION}}
        body = {
            **self._settings(),
            **options,
            **({"stop": stop} if stop else {}),
            **({"response_format": _response_format(structured)} if structured else {}),
            "model": self.method,
            "messages": openai_messages(messages),
            "stream": stream,
            "collegium": extension,
        }
        try:
            chat = ChatBody.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part)[:80] for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise RequestError(f"{where}: {message}" if where else message) from error
        if chat.ignored:
            raise RequestError(f"{self.method} does not know the option {chat.ignored[0]!r}")
        return _apart(self.chats.events(chat, max_wait))

    # One call -----------------------------------------------------------------------------------------------

    async def _whole(self, events: ChatEvents) -> ChatResult:
        reply = ReplyMessages(self.method)
        async for event in events:
            reply.add(event)
        return ChatResult(generations=[ChatGeneration(message=one) for one in reply.messages()])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self._check_blocking()
        return self.chats.loop.run(self._whole(self._events(messages, stop, False, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self.chats.loop.arun(self._whole(self._events(messages, stop, False, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self._check_blocking()
        reply = ReplyMessages(self.method)
        for event in self.chats.loop.iterate(self._events(messages, stop, True, kwargs)):
            if (chunk := reply.chunk(event)) is not None:
                if run_manager:
                    run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = ReplyMessages(self.method)
        async for event in self.chats.loop.aiterate(self._events(messages, stop, True, kwargs)):
            if (chunk := reply.chunk(event)) is not None:
                if run_manager:
                    await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                yield chunk


class ReplyMessages:
    """The events of a chat as LangChain's messages, whole or in chunks."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._texts: dict[int, str] = {}
        self._reasonings: dict[int, str] = {}
        self._calls: dict[int, ToolCallEvent] = {}
        self._reasons: dict[int, str] = {}
        self._account = UsageEvent(0, 0)
        self._blocks, self._last_kind = 0, ""
        """Content blocks of the stream so far, and the kind of the last one: LangChain counts calls behind them."""

    def add(self, event: ChatEvent) -> None:
        """One more event."""
        match event:
            case TextEvent(text, _, index):
                self._texts[index] = self._texts.get(index, "") + text
            case ReasoningEvent(text, index):
                self._reasonings[index] = self._reasonings.get(index, "") + text
            case ToolCallEvent(index=index):
                self._calls[index] = event
            case FinishEvent(reason, index):
                self._reasons[index] = reason
            case UsageEvent():
                self._account = event
            case ProgressEvent():
                pass  # the explanation has it

    def messages(self) -> list[AIMessage]:
        """One message per choice."""
        return [
            AIMessage(
                self._texts.get(index, ""),
                tool_calls=[
                    tool_call(name=name, args=json.loads(arguments), id=id)
                    for name, arguments, id in _named(self._calls.get(index))
                ],
                additional_kwargs={"reasoning_content": self._reasonings[index]} if index in self._reasonings else {},
                usage_metadata=self._usage(),
                response_metadata=self._metadata(reason),
            )
            for index, reason in sorted(self._reasons.items())
        ]

    def chunk(self, event: ChatEvent) -> ChatGenerationChunk | None:
        """The event as a chunk of the first choice's stream; None: it shows nothing by itself."""
        self.add(event)
        match event:
            case TextEvent(text):
                message = AIMessageChunk(content=text)
            case ReasoningEvent(text):
                message = AIMessageChunk(content="", additional_kwargs={"reasoning_content": text})
            case ProgressEvent({"expert": expert, "text": text}):
                line = f"{expert}: {text.strip()}\n\n"
                message = AIMessageChunk(content="", additional_kwargs={"reasoning_content": line})
            case ToolCallEvent():
                chunks = [
                    tool_call_chunk(name=name, args=arguments, id=id, index=index)
                    for index, (name, arguments, id) in enumerate(_named(event), self._blocks)
                ]
                message = AIMessageChunk(content="", tool_call_chunks=chunks)
            case UsageEvent():
                message = AIMessageChunk(
                    content="",
                    usage_metadata=self._usage(),
                    response_metadata=self._metadata(self._reasons.get(0, "stop")),
                    chunk_position="last",
                )
            case _:
                return None
        kind = "text" if message.content else "reasoning" if message.additional_kwargs else self._last_kind
        self._blocks, self._last_kind = self._blocks + (kind != self._last_kind), kind
        return ChatGenerationChunk(message=message)

    def _usage(self) -> UsageMetadata:
        prompt, reply = self._account.prompt_tokens, self._account.completion_tokens
        return UsageMetadata(input_tokens=prompt, output_tokens=reply, total_tokens=prompt + reply)

    def _metadata(self, reason: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "model_name": self._method,
            "model_provider": "collegium",
            "finish_reason": reason,
            "experts": list(self._account.experts),
        }
        if self._account.cost is not None:
            metadata["cost"] = self._account.cost
        if self._account.explanation is not None:
            metadata["collegium"] = self._account.explanation
        return metadata


async def _apart(events: ChatEvents) -> ChatEvents:
    """The events; the callbacks of whoever asked hear of the method's one reply, not of every expert's."""
    var_child_runnable_config.set(None)
    async with contextlib.aclosing(events) as source:  # type: ignore[type-var]  # every source is a generator
        async for event in source:
            yield event


_EXTENSION = frozenset({"kind", "choices", "recruit", "preset", "explain"})


def _response_format(structured: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": structured["json"]}}


def _named(event: ToolCallEvent | None) -> list[tuple[str, str, str]]:
    """(name, arguments, id) of each call."""
    calls = () if event is None else event.calls
    return [(call.name, call.arguments, f"call_{secrets.token_hex(12)}") for call in calls]
