"""What a client may send besides chats (`chats.chat_body`) and text completions (`completion_body`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, PrivateAttr, model_validator

from orchestrator.chats.body import MAX_TOKENS, RequestBody, ShortText
from orchestrator.chats.chat_body import MAX_MESSAGES
from orchestrator.chats.tolerance import IGNORED
from orchestrator.config import BudgetConfig

EMBEDDINGS_IGNORED = IGNORED | {"input_type", "truncate"}
"""Fields of a request for embeddings that are left out: one vector is made of every text, whatever it is for, and of
the whole of it."""


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
    max_output_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    metadata: dict[str, JsonValue] | None = None


class CountTokensBody(RequestBody):
    """Anthropic's request to count the tokens of a message before it is sent. Its further fields are read by
    `anthropic_forms`, which refuses what it does not know."""

    model_config = ConfigDict(extra="allow")

    model: ShortText
    messages: list[dict[str, JsonValue]] = Field(min_length=1, max_length=MAX_MESSAGES)


class MessagesBody(CountTokensBody):
    """Anthropic's Messages request."""

    max_tokens: int = Field(ge=1, le=MAX_TOKENS)
    stream: bool | None = None


class EmbeddingsBody(RequestBody):
    """OpenAI's request for embeddings. Fields that mean nothing to a server are left out, as in chats."""

    model: ShortText
    input: (
        Annotated[str, Field(max_length=1_000_000)]
        | Annotated[list[Annotated[str, Field(max_length=1_000_000)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, description="Only the model's own number.")
    _ignored: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _of_any_make(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        sent = {name for name in data if name in EMBEDDINGS_IGNORED}
        given = data.get("input")
        first = given[0] if isinstance(given, list) and given else None
        if isinstance(first, (int, list)):
            raise ValueError(
                "input: texts are needed, not ids of tokens, which mean something else to every model; in LangChain "
                "set check_embedding_ctx_length=False"
            )
        made = handler({name: value for name, value in data.items() if name not in sent})
        made._ignored = tuple(sorted(name for name in sent if data[name] not in (None, "", {}, [])))
        return made

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the fields that were sent and left out."""
        return self._ignored


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
