"""Any LangChain chat model as a source of deltas."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CollegiumError, ExpertError, RequestError, UpstreamError
from orchestrator.inference.engines.echo import refuse_plain
from orchestrator.inference.engines.schema import parse_structured
from orchestrator.inference.engines.tools import ParsedCall, format_calls, server_messages
from orchestrator.inference.engines.upstream_failures import of_exception
from orchestrator.inference.request import Delta, Request, UpstreamUsage
from orchestrator.inference.tool_history import ToolHistory

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


LANGCHAIN = "langchain:"
"""`RemoteModel.url` may be langchain:package.module:function; the function makes the chat model."""


class LangChainStream:
    """A LangChain chat model as a source of deltas. A chunk counts as one token where the model counts none."""

    remaining: tuple[int, float] | None = None

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    async def deltas(self, request: Request) -> AsyncIterator[Delta]:
        """See `UpstreamStream`."""
        from langchain_core.messages import convert_to_messages

        refuse_plain(request, "a LangChain chat model is asked in chats only")
        sampling = request.sampling
        model: Any = self._model
        allowed: list[str] | None = None
        if sampling.structured is not None:
            kind, value = parse_structured(sampling.structured)
            if kind != "choice":
                raise RequestError(f"response_format: a LangChain model cannot be held to a {kind}")
            allowed = value
        settings: dict[str, Any] = {"max_tokens": sampling.max_tokens, "temperature": sampling.temperature}
        if sampling.stop:
            settings["stop"] = list(sampling.stop)
        if further := sampling.further:
            raise RequestError(f"{', '.join(further)}: a LangChain chat model cannot be asked for that")
        if sampling.ignore_eos:
            raise RequestError("ignore_eos: a LangChain model cannot be kept from ending")
        tools = sampling.tools or ToolHistory()
        if tools.definitions:
            model = model.bind_tools(list(tools.definitions), tool_choice=tools.choice)
        text, tokens, prompt_tokens, counted, cached, reasoned, whole = "", 0, 0, 0, 0, 0, None
        async for chunk in model.astream(convert_to_messages(server_messages(tools, request.messages)), **settings):
            if tools.definitions:
                whole = chunk if whole is None else whole + chunk
            usage = getattr(chunk, "usage_metadata", None) or {}
            prompt_tokens = max(prompt_tokens, int(usage.get("input_tokens", 0)))
            counted = max(counted, int(usage.get("output_tokens", 0)))
            cached = max(cached, int((usage.get("input_token_details") or {}).get("cache_read") or 0))
            reasoned = max(reasoned, int((usage.get("output_token_details") or {}).get("reasoning") or 0))
            piece = chunk.text if isinstance(chunk.text, str) else chunk.text()
            text += piece
            tokens += bool(piece)
            if piece and allowed is None:
                yield Delta(request.key, text=piece, tokens=1)
        if allowed is not None and text.strip() not in allowed:
            raise UpstreamError(f"the reply {text[:80]!r} is none of the choices")
        rest = text.strip() if allowed is not None else ""
        if calls := [ParsedCall(call["name"], json.dumps(call["args"])) for call in getattr(whole, "tool_calls", ())]:
            rest = ("\n" if text else "") + format_calls(calls)
        more = max(0, counted - tokens) if allowed is None else max(counted, tokens)
        if not text.strip() and not rest and not sampling.stop:
            raise UpstreamError("the reply is empty")
        usage = UpstreamUsage(cached, reasoned) if cached or reasoned else None
        yield Delta(request.key, text=rest, tokens=more, prompt_tokens=prompt_tokens, finish_reason="stop", usage=usage)

    def failure(self, error: Exception) -> CollegiumError:
        """An exception of `deltas` as a typed error."""
        return of_exception(error)

    async def close(self) -> None:
        """The model is its maker's to close."""


def chat_model(expert: str, path: str) -> BaseChatModel:
    """The LangChain model that `path` (`module:function`) makes. Raises `ExpertError`."""
    module, _, name = path.partition(":")
    try:
        model: BaseChatModel = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ExpertError(f"expert {expert!r}: {LANGCHAIN}{path}: {error}") from error
    return model
