"""`ExpertChat`: an expert as a langchain-core chat model. Code written against LangChain gets per-expert batching
and model swapping without knowing.

Tools are not offered: an expert of the zoo need not have been trained for them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict, Field

from orchestrator.errors import RequestError
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.prices import price
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling, TokenLogprob
from orchestrator.inference.schedule.pending import Outcome

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "chat": "user"}


class ExpertChat(BaseChatModel):
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
        settings = {**self._settings(), **{key: options.pop(key) for key in self._settings() if key in options}}
        if options:
            raise RequestError(f"expert {self.expert.name!r} does not know the option {sorted(options)[0]!r}")
        sampling = replace(
            self.further,
            **settings,
            stop=tuple(stop or self.stop or ()),
            structured=json.dumps(structured) if structured else self.further.structured,
        )
        return self.pool.request(self.expert, _messages(messages), sampling, stream=stream, max_wait=max_wait)

    def _result(self, outcome: Outcome) -> ChatResult:
        if isinstance(outcome, BaseException):
            raise outcome
        message = AIMessage(outcome.text, usage_metadata=_usage(outcome), response_metadata=self._metadata(outcome))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _metadata(self, completion: Completion) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "model_name": self.expert.name,
            "model_provider": "collegium",
            "finish_reason": completion.finish_reason,
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

    def _chunk(self, part: Delta | Completion, streamed: bool) -> ChatGenerationChunk:
        if isinstance(part, Delta):
            return ChatGenerationChunk(message=AIMessageChunk(content=part.text))
        message = AIMessageChunk(
            content="" if streamed else part.text,
            usage_metadata=_usage(part),
            response_metadata=self._metadata(part),
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
        request = self._request(messages, stop, False, kwargs)
        return self._result(self.pool.ask_blocking([(request, self.expert)])[0])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, False, kwargs)
        return self._result((await self.pool.ask([(request, self.expert)]))[0])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, True, kwargs)
        streamed = False
        async for part in self.pool.stream(request, self.expert):
            chunk = self._chunk(part, streamed)
            streamed = True
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
        request = self._request(messages, stop, True, kwargs)
        streamed = False
        for part in self.pool.stream_blocking(request, self.expert):
            chunk = self._chunk(part, streamed)
            streamed = True
            if run_manager:
                run_manager.on_llm_new_token(cast("str", chunk.message.content), chunk=chunk)
            yield chunk

    # Many calls: langchain-core's own would keep a handful in flight ----------------------------------------

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """All inputs are submitted at once, whatever `max_concurrency` says. The first error withdraws the rest,
        unless `return_exceptions`."""
        configs = config if isinstance(config, list) else [config] * len(inputs)
        calls = [
            asyncio.ensure_future(self.ainvoke(input, one, **kwargs))
            for input, one in zip(inputs, configs, strict=True)
        ]
        try:
            return list(await asyncio.gather(*calls, return_exceptions=return_exceptions))
        finally:
            for call in calls:
                call.cancel()

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """As `abatch`, for code that may block, even on an event loop."""
        self.pool.refuse_own_thread()

        def run() -> list[Any]:
            return asyncio.run(self.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs))

        # A loop of its own on a thread of its own: one may run here already.
        with ContextThreadPoolExecutor(1) as thread:
            return thread.submit(run).result()

    # Structured output --------------------------------------------------------------------------------------

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "json_mode", "function_calling"] = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The engine is held to the schema's JSON while it writes; every `method`, `strict` or not, means that
        here. Tools are not offered along with it. Raises ValueError for arguments that it does not know."""
        if unknown := sorted(kwargs.keys() - {"strict"}):
            raise ValueError(f"with_structured_output does not know the argument {unknown[0]!r}")
        json_schema = convert_to_json_schema(schema)
        bound = self.bind(
            structured={"json": json_schema},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": json_schema},
        )
        parser: Runnable[Any, Any] = (
            PydanticOutputParser(pydantic_object=schema)
            if isinstance(schema, type) and is_basemodel_subclass(schema)
            else JsonOutputParser()
        )
        if not include_raw:
            return bound | parser
        parsed = RunnablePassthrough.assign(
            parsed=lambda reply: parser.invoke(reply["raw"]), parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _messages(messages: Sequence[BaseMessage]) -> tuple[PromptMessage, ...]:
    return tuple((_role(message), _text(message)) for message in messages)


def _role(message: BaseMessage) -> str:
    role = _ROLES.get(message.type)
    if role is None:
        raise RequestError(f"experts do not take messages of type {message.type!r}")
    return str(getattr(message, "role", role))


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        if isinstance(block, dict) and block.get("type") not in ("text", None):
            raise RequestError(f"experts take text only, not content of type {block['type']!r}")
    return str(message.text)


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
