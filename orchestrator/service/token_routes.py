"""`/v1/tokenize` and `/v1/detokenize` in vLLM's form, `/v1/messages/count_tokens` in Anthropic's: what an expert's
tokenizer makes of a text or a chat."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, JsonValue, ValidationError, model_validator

from orchestrator.chats.body import RequestBody, ShortText
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.tools import with_tools
from orchestrator.inference.engines.prompts import Prompts
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import PROMPT_IDS
from orchestrator.service import anthropic
from orchestrator.service.chat import ignored_header
from orchestrator.service.model_list import ModelList
from orchestrator.service.refusals import invalid
from orchestrator.service.schema import CountTokensBody
from orchestrator.service.scopes import check_model, scoped
from orchestrator.service.thread_queue import ThreadQueue


class TokenizeBody(RequestBody):
    """A text, or a chat with what decides its prompt."""

    model: ShortText
    prompt: Annotated[str, Field(max_length=2_000_000)] | None = None
    messages: list[dict[str, JsonValue]] | None = Field(default=None, min_length=1, max_length=2048)
    tools: list[dict[str, JsonValue]] | None = Field(default=None, max_length=128)
    chat_template_kwargs: dict[ShortText, JsonValue] | None = Field(default=None, max_length=32)
    continue_final_message: bool = False
    add_generation_prompt: bool = Field(default=True, description="true, unless continue_final_message is.")
    add_special_tokens: bool = Field(
        default=True, description="For a text: the tokens that the tokenizer adds itself, such as the first one."
    )
    return_token_strs: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> TokenizeBody:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("prompt: send either it or messages")
        stated = self.messages is not None and "add_generation_prompt" in self.model_fields_set
        if stated and self.add_generation_prompt == self.continue_final_message:
            raise ValueError("add_generation_prompt: the opposite of continue_final_message is understood")
        return self


class DetokenizeBody(RequestBody):
    """Ids of tokens."""

    model: ShortText
    tokens: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(max_length=1_000_000)


def add(api: FastAPI, models: ModelList) -> None:
    """Add the routes."""
    prompts, thread = Prompts(Sources()), ThreadQueue()  # tokenizers are not made for several threads

    def chat_ids(expert: Expert, chat: ChatBody) -> list[int]:
        return prompts.ids(
            expert, chat.conversation, with_tools(chat, chat.sampling(expert.context, 1.0), remote=False)
        )

    def counted(expert: Expert, chat: ChatBody) -> int:
        return len(chat_ids(expert, chat))

    def tokenized(expert: Expert, body: TokenizeBody) -> dict[str, Any]:
        tokenizer = prompts.tokenizer(expert)
        if body.prompt is not None:
            ids = list(tokenizer(body.prompt, add_special_tokens=body.add_special_tokens)["input_ids"])
        else:
            ids = chat_ids(expert, _chat(body))
        texts = tokenizer.convert_ids_to_tokens(ids) if body.return_token_strs else None
        return {"count": len(ids), "max_model_len": expert.context, "tokens": ids, "token_strs": texts}

    def joined(expert: Expert, tokens: list[int]) -> dict[str, Any]:
        if tokens:
            prompts.ids(expert, ((PROMPT_IDS, str(tokens)),))  # refuses ids that there are not
        return {"prompt": prompts.plain_text(expert, ((PROMPT_IDS, str(tokens)),)) if tokens else ""}

    @api.post("/v1/tokenize", openapi_extra=scoped("chat"))
    async def tokenize(body: TokenizeBody, request: Request) -> dict[str, Any]:
        """The tokens of a text, or of a chat as the expert's template writes it."""
        check_model(request.scope, body.model)
        return await thread.run(partial(tokenized, models.tokenizing(body.model), body))

    @api.post("/v1/detokenize", openapi_extra=scoped("chat"))
    async def detokenize(body: DetokenizeBody, request: Request) -> dict[str, Any]:
        """The text of tokens."""
        check_model(request.scope, body.model)
        return await thread.run(partial(joined, models.tokenizing(body.model), body.tokens))

    @api.post("/v1/messages/count_tokens", openapi_extra=scoped("chat"))
    async def count_tokens(body: CountTokensBody, request: Request) -> Response:
        """The tokens of a message in Anthropic's form, with its system prompt and tools:
        https://docs.anthropic.com/en/api/messages-count-tokens."""
        check_model(request.scope, body.model)
        expert = models.tokenizing(body.model)
        _, chat, ignored = anthropic.read(body)
        count = await thread.run(partial(counted, expert, chat))
        return JSONResponse({"input_tokens": count}, headers=ignored_header(sorted({*chat.ignored, *ignored})))


def _chat(body: TokenizeBody) -> ChatBody:
    """The chat that is tokenized. Raises `Refused` for one that would be refused anyway."""
    fields = body.model_dump(
        include={"model", "messages", "tools", "chat_template_kwargs", "continue_final_message"}, exclude_none=True
    )
    try:
        return ChatBody.model_validate(fields)
    except ValidationError as error:
        raise invalid(error.errors()) from error
