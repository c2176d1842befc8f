"""OpenAI's request for text completions: https://platform.openai.com/docs/api-reference/completions/create."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from orchestrator.chats.body import MAX_TOKENS
from orchestrator.chats.sampling_body import SamplingBody
from orchestrator.inference.request import PROMPT, PROMPT_IDS, PromptMessage, Sampling

MAX_PROMPTS = 1024
MAX_REPLIES = 1024
"""Replies of one request: its prompts times `n`."""
UNSAID_TOKENS = 16
"""`max_tokens` where the client does not say: OpenAI's."""
PromptText = Annotated[str, Field(max_length=2_000_000)]
PromptIds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]], Field(max_length=1_000_000)]


class CompletionBody(SamplingBody):
    """OpenAI's request for text completions, of one expert as `model`."""

    prompt: (
        PromptText
        | PromptIds
        | Annotated[list[PromptText], Field(min_length=1, max_length=MAX_PROMPTS)]
        | Annotated[list[PromptIds], Field(min_length=1, max_length=MAX_PROMPTS)]
    ) = Field(description="A text, the ids of its tokens, or a list of one of the two.")
    max_tokens: int | None = Field(
        default=None, ge=0, le=MAX_TOKENS, description="Default: 16, as OpenAI has it. 0 with echo: only the prompt."
    )
    logprobs: int | None = Field(default=None, ge=0, le=20, description="Alternatives per token.")
    echo: bool = Field(default=False, description="The text begins with the prompt.")

    @field_validator("logprobs", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool):
            if value:
                raise ValueError("a number of alternatives is needed here; true is a chat's form")
            return None
        return value

    @model_validator(mode="after")
    def _few_enough(self) -> CompletionBody:
        if len(self.prompts) * self.n > MAX_REPLIES:
            raise ValueError(f"prompt: {len(self.prompts)} prompts times n make more than {MAX_REPLIES} replies")
        return self

    @property
    def prompts(self) -> list[tuple[PromptMessage, ...]]:
        """Each prompt as engines receive it."""
        given: Any = self.prompt
        several = isinstance(given, list) and given and not isinstance(given[0], int)
        return [
            ((PROMPT, one) if isinstance(one, str) else (PROMPT_IDS, json.dumps(one)),)
            for one in (given if several else [given])
        ]

    def sampling(self, context: int, temperature: float) -> Sampling:
        """As `SamplingBody.sampling`, with what only completions have."""
        wanted = UNSAID_TOKENS if self.max_tokens is None else self.max_tokens
        return replace(
            super().sampling(context, temperature),
            max_tokens=min(wanted, context),
            logprobs=self.logprobs,
            echo=self.echo,
        )
