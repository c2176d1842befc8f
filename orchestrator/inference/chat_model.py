"""What the chat models of this project have in common: whole batches at once, tools and structured output.

A langchain-core model of its own keeps a handful of calls in flight; here everything is submitted at once, so that
engines get batches.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass


class BatchedChatModel(BaseChatModel):
    """A chat model whose batches reach the engines whole."""

    @abstractmethod
    def _check_blocking(self) -> None:
        """Raise `RequestError` where waiting here would wait for itself."""

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
        self._check_blocking()

        def run() -> list[Any]:
            return asyncio.run(self.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs))

        # A loop of its own on a thread of its own: one may run here already.
        with ContextThreadPoolExecutor(1) as thread:
            return thread.submit(run).result()

    def bind_tools(
        self,
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call. `tool_choice`: auto, none, any or required, or a tool's name.
        `strict` has no effect: a call that must be made is always held to its schema."""
        kwargs.pop("strict", None)
        definitions = [convert_to_openai_tool(tool) for tool in tools]
        given: dict[str, Any] = {"tools": definitions, **kwargs}
        if (choice := _choice(tool_choice)) is not None:
            given["tool_choice"] = choice
        if parallel_tool_calls is not None:
            given["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(**given)

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


def _choice(given: str | bool | Mapping[str, Any] | None) -> str | Mapping[str, Any] | None:
    """As OpenAI has it."""
    if given in (None, "", False):
        return None
    if given is True or given == "any":
        return "required"
    if isinstance(given, str) and given not in ("auto", "none", "required"):
        return {"type": "function", "function": {"name": given}}
    assert not isinstance(given, bool)
    return given
