"""`ExpertChat`: an expert as a langchain-core chat model. Code written against LangChain gets per-expert batching
and model swapping without knowing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from orchestrator.errors import RequestError
from orchestrator.inference.chat_messages import prompt_messages, tool_calls, tool_turns
from orchestrator.inference.chat_model import BatchedChatModel
from orchestrator.inference.engines.tools import begins
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.prices import price
from orchestrator.inference.request import Completion, Delta, Request, Sampling, TokenLogprob
from orchestrator.inference.schedule.pending import Outcome
from orchestrator.inference.tool_sampling import tool_sampling


@dataclass(frozen=True, slots=True)
class ToolNames:
    """The tools of one call of a chat model."""

    names: frozenset[str] = frozenset()
    single: bool = False
    """At most one call is returned."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ToolNames:
        """What a call's options offer."""
        tools = [] if options.get("tool_choice") == "none" else options.get("tools") or []
        names = frozenset(tool["function"]["name"] for tool in tools)
        return cls(names, options.get("parallel_tool_calls") is False)


class ReplyStream:
    """A streamed reply's text, as far as it can be no call of a tool."""

    def __init__(self, offered: ToolNames) -> None:
        self._offered = offered
        self._held = ""
        self._begun = self._streamed = False

    def more(self, text: str) -> str:
        """What can be shown now."""
        self._streamed = True
        if not self._offered.names:
            return text
        self._held += text
        free = begins(self._held, first=not self._begun)
        free_text, self._held = self._held[:free], self._held[free:]
        self._begun = self._begun or bool(free_text)
        return free_text

    @property
    def streamed(self) -> bool:
        """Some of it has come already; a reply from the ledger comes whole, at its end."""
        return self._streamed

    def end(self, whole: str) -> tuple[str, list[ToolCall]]:
        """(the text that has not been shown, the calls) of the whole reply."""
        rest = self._held if self._streamed else whole
        return tool_calls(rest, self._offered.names, single=self._offered.single)


class ExpertChat(BatchedChatModel):
    """One expert of the zoo. `ainvoke`, `abatch`, `astream`, and `invoke` from threads, all reach the engine as
    batches with whatever else waits for the same expert."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    pool: Pool = Field(exclude=True, repr=False)
    expert: Expert
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    stop: list[str] | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    """Alternatives a token; the reply's `response_metadata["logprobs"]` has them, in OpenAI's layout."""
    further: Sampling = Sampling()
    """All settings that have no field of their own here."""
    streaming: bool = False
    """`invoke` and `ainvoke` stream inside, so that callbacks hear every token."""
    max_wait: float | None = None
    """Seconds an interactive caller is ready to wait for its turn; None: batch work."""

    @property
    def _llm_type(self) -> str:
        return "collegium-expert"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"expert": self.expert.name, "fingerprint": self.expert.fingerprint, **self._settings()}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"], params["ls_model_name"] = "collegium", kwargs.get("model", self.expert.name)
        params["ls_temperature"] = self.temperature
        return params

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("max_tokens", "temperature", "top_p", "top_k", "logprobs")}

    # From LangChain's words to ours and back ----------------------------------------------------------------

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, stream: bool, options: Any) -> Request:
        structured = options.pop("structured", None)
        options.pop("ls_structured_output_format", None)
        max_wait = options.pop("max_wait", self.max_wait)
        tools, choice = options.pop("tools", None) or (), options.pop("tool_choice", None)
        parallel = options.pop("parallel_tool_calls", None)
        settings = {**self._settings(), **{key: options.pop(key) for key in self._settings() if key in options}}
        if options:
            raise RequestError(f"expert {self.expert.name!r} does not know the option {sorted(options)[0]!r}")
        sampling = replace(
            self.further,
            **settings,
            stop=tuple(stop or self.stop or ()),
            structured=json.dumps(structured) if structured else self.further.structured,
        )
        if choice not in (None, "auto", "none") and not tools:
            raise RequestError("tool_choice needs tools")
        sampling = tool_sampling(
            sampling,
            () if choice == "none" else tools,
            choice,
            parallel,
            tool_turns(messages),
            remote=self.expert.remote is not None,
        )
        return self.pool.request(self.expert, prompt_messages(messages), sampling, stream=stream, max_wait=max_wait)

    def _result(self, outcome: Outcome, offered: ToolNames) -> ChatResult:
        if isinstance(outcome, BaseException):
            raise outcome
        text, calls = tool_calls(outcome.text, offered.names, single=offered.single)
        message = AIMessage(
            text,
            tool_calls=calls,
            usage_metadata=_usage(outcome),
            response_metadata=self._metadata(outcome, calls),
            additional_kwargs=_thoughts(outcome.reasoning),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _metadata(self, completion: Completion, calls: Sequence[Any] = ()) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "model_name": self.expert.name,
            "model_provider": "collegium",
            "finish_reason": "tool_calls" if calls and completion.finish_reason == "stop" else completion.finish_reason,
            "key": completion.key,
            "cached": completion.cached,
            "seconds": completion.seconds,
        }
        if (cost := price(self.expert, completion)) is not None:
            metadata["cost"] = cost
        if completion.reasoning:
            metadata["reasoning"] = completion.reasoning
        if completion.logprobs:
            metadata["logprobs"] = {"content": logprobs_content(completion.logprobs)}
        return metadata

    def _chunk(self, part: Delta | Completion, reply: ReplyStream) -> ChatGenerationChunk:
        if isinstance(part, Delta):
            thoughts = _thoughts(part.reasoning)
            return ChatGenerationChunk(
                message=AIMessageChunk(content=reply.more(part.text), additional_kwargs=thoughts)
            )
        rest, calls = reply.end(part.text)
        message = AIMessageChunk(
            content=rest,
            additional_kwargs={} if reply.streamed else _thoughts(part.reasoning),
            tool_call_chunks=[
                tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
                for index, call in enumerate(calls)
            ],
            usage_metadata=_usage(part),
            response_metadata=self._metadata(part, calls),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    # One call -----------------------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        offered = ToolNames.of(kwargs)
        request = self._request(messages, stop, False, kwargs)
        return self._result(self.pool.ask_blocking([(request, self.expert)])[0], offered)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        offered = ToolNames.of(kwargs)
        request = self._request(messages, stop, False, kwargs)
        return self._result((await self.pool.ask([(request, self.expert)]))[0], offered)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = ReplyStream(ToolNames.of(kwargs))
        request = self._request(messages, stop, True, kwargs)
        async for part in self.pool.stream(request, self.expert):
            chunk = self._chunk(part, reply)
            if run_manager:
                await run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
            yield chunk

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = ReplyStream(ToolNames.of(kwargs))
        request = self._request(messages, stop, True, kwargs)
        for part in self.pool.stream_blocking(request, self.expert):
            chunk = self._chunk(part, reply)
            if run_manager:
                run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
            yield chunk

    def _check_blocking(self) -> None:
        self.pool.refuse_own_thread()


def _thoughts(text: str) -> dict[str, str]:
    """What a model says on its way to the answer, where LangChain and its readers look for it."""
    return {"reasoning_content": text} if text else {}


def _usage(completion: Completion) -> UsageMetadata:
    prompt, reply = completion.prompt_tokens, completion.completion_tokens
    return UsageMetadata(input_tokens=prompt, output_tokens=reply, total_tokens=prompt + reply)


def logprobs_content(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """In OpenAI's layout."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": list(token.token.encode()),
            "top_logprobs": [
                {"token": other, "logprob": value, "bytes": list(other.encode())} for other, value in token.top
            ],
        }
        for token in tokens
    ]
