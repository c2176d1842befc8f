"""What a client may send besides chats (`chats.chat_body`) and text completions (`completion_body`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from orchestrator.chats.body import RequestBody, ShortText
from orchestrator.chats.chat_body import MAX_MESSAGES
from orchestrator.config import BudgetConfig


class ResponsesBody(RequestBody):
    """OpenAI's Responses request. Its further fields are read by `response_forms`, which refuses what it does not
    know."""

    model_config = ConfigDict(extra="allow")

    model: ShortText
    input: (
        Annotated[str, Field(max_length=10_000_000)]
        | Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=MAX_MESSAGES)]
    )
    instructions: str | None = None
    previous_response_id: ShortText | None = None
    stream: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    metadata: dict[str, JsonValue] | None = None


class MessagesBody(RequestBody):
    """Anthropic's Messages request. Its further fields are read by `anthropic_forms`, which refuses what it does not
    know."""

    model_config = ConfigDict(extra="allow")

    model: ShortText
    messages: list[dict[str, JsonValue]] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int = Field(ge=1, le=1_000_000)
    stream: bool | None = None


class EmbeddingsBody(RequestBody):
    """OpenAI's request for embeddings."""

    model: ShortText
    input: (
        Annotated[str, Field(max_length=1_000_000)]
        | Annotated[list[Annotated[str, Field(max_length=1_000_000)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, description="Only the model's own number.")
    user: str | None = Field(default=None, max_length=1000, description="Without effect.")


class BatchBody(RequestBody):
    """OpenAI's request for a batch."""

    input_file_id: ShortText
    endpoint: ShortText = Field(description="Where each row's request would be sent alone.")
    completion_window: ShortText = Field(default="24h", description="Without effect: a batch runs at once.")
    metadata: dict[ShortText, Annotated[str, Field(max_length=512)]] | None = Field(default=None, max_length=16)


class RouteBody(RequestBody):
    """Which experts suit these questions?"""

    questions: list[Annotated[str, Field(min_length=1, max_length=100_000)]] = Field(min_length=1, max_length=256)


class ComparisonBody(RequestBody):
    """Runs to compare, by their ids."""

    runs: list[ShortText] = Field(min_length=2, max_length=8)


class FeedbackBody(RequestBody):
    """How good one expert's answer to one question was: routers learn from it."""

    question: str = Field(min_length=1, max_length=100_000)
    expert: ShortText
    score: float = Field(ge=0, le=1, description="0: wrong, 1: right.")
    skills: list[ShortText] = Field(default_factory=list, max_length=32)


class JobBody(RequestBody):
    """A pipeline to run: `request` has the fields of its command, with underscores (see /v1/pipelines)."""

    pipeline: ShortText
    request: dict[str, JsonValue] = Field(default_factory=dict)
    budget: BudgetConfig | None = None
