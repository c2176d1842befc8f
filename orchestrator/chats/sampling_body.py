"""How a reply is sampled, and in which form it is wanted: what chats and text completions have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, PrivateAttr, model_validator

from orchestrator.chats.body import MAX_TOKENS, BodyPart, RequestBody, ShortText
from orchestrator.chats.tolerance import tolerate
from orchestrator.inference.engines.schema import StructuredError, parse_structured
from orchestrator.inference.request import Sampling

MAX_CHOICES = 16
MAX_STOPS = 64
MAX_BIASES = 1024
MAX_PATTERN = 50_000
"""Characters of an expression or a grammar."""
MAX_SCHEMA = 200_000
"""Characters of a JSON schema, or of all tools together."""


class StreamOptions(BodyPart):
    """What a stream holds besides the reply."""

    include_usage: bool = False
    include_obfuscation: bool = False
    continuous_usage_stats: bool = False


class JsonSchema(BodyPart):
    """A JSON schema that the reply is held to."""

    name: str = Field(default="reply", max_length=256)
    description: str | None = Field(default=None, max_length=10_000)
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BodyPart):
    """`json_schema` holds the reply to a schema, `json_object` to any JSON object; `regex`, `choice` (of texts) and
    `grammar` (GBNF) are vLLM's."""

    type: Literal["text", "json_object", "json_schema", "regex", "choice", "grammar"]
    json_schema: JsonSchema | None = None
    value: Annotated[str, Field(min_length=1, max_length=MAX_PATTERN)] | list[ShortText] | None = Field(
        default=None, description="The pattern of `regex`, the texts of `choice`, the rules of `grammar`."
    )

    @model_validator(mode="after")
    def _schema_where_needed(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with type json_schema, and only with it")
        wanted = {"regex": str, "grammar": str, "choice": list}.get(self.type, type(None))
        if not isinstance(self.value, wanted) or self.value == []:
            raise ValueError("value goes with type regex (a pattern), grammar (its rules) or choice (a list of texts)")
        return self

    @property
    def structured(self) -> str | None:
        """As `Sampling.structured`."""
        if self.type == "text":
            return None
        if self.value is not None:
            return json.dumps({self.type: self.value}, sort_keys=True, ensure_ascii=False)
        schema = self.json_schema.schema_ if self.json_schema else {"type": "object"}
        return json.dumps({"json": schema}, sort_keys=True, ensure_ascii=False)


class RepetitionDetection(RequestBody):
    """vLLM's: a reply is cut where its end repeats one pattern of tokens."""

    max_pattern_size: int = Field(ge=1, le=1024)
    min_pattern_size: int = Field(default=1, ge=0, le=1024)
    min_count: int = Field(ge=2, le=10_000)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_pattern_size > self.max_pattern_size:
            raise ValueError("min_pattern_size is more than max_pattern_size")
        return self

    @property
    def wanted(self) -> tuple[int, int, int]:
        """As `Sampling.repetition`."""
        return self.max_pattern_size, max(self.min_pattern_size, 1), self.min_count


class SamplingBody(RequestBody):
    """A request for replies of a model."""

    model: ShortText
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS, description="Default: what the context holds.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Default: 1 for an expert, as OpenAI has it; 0 for several."
    )
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, le=1_000_000)
    min_p: float = Field(default=0.0, ge=0, le=1)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    logit_bias: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]] = Field(
        default_factory=dict, max_length=MAX_BIASES, description="Number of a token -> what is added to its logit."
    )
    bad_words: list[ShortText] = Field(
        default_factory=list, max_length=MAX_STOPS, description="Never said (vLLM only)."
    )
    n: int = Field(default=1, ge=1, le=MAX_CHOICES)
    stop: (
        Annotated[str, Field(min_length=1, max_length=1000)]
        | list[Annotated[str, Field(min_length=1, max_length=1000)]]
        | None
    ) = Field(default=None, max_length=1000)
    stop_token_ids: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(default_factory=list, max_length=MAX_STOPS)
    min_tokens: int = Field(default=0, ge=0, le=1_000_000, description="Minimum tokens of a reply.")
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    ignore_eos: bool = Field(default=False, description="vLLM's: always max_tokens, for measuring speed.")
    repetition_detection: RepetitionDetection | None = None
    echo: bool = False
    prompt_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="vLLM's: alternatives per token of the prompt; not in a stream."
    )
    _ignored: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _of_any_make(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        formed, ignored = tolerate(data)
        made = handler(formed)
        made._ignored = tuple(ignored)
        return made

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the fields that were sent and left out."""
        return self._ignored

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if isinstance(self.stop, list) and len(self.stop) > MAX_STOPS:
            raise ValueError(f"stop: at most {MAX_STOPS} texts")
        if self.max_tokens and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens: {self.min_tokens} is more than the {self.max_tokens} of max_tokens")
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("prompt_logprobs: a stream does not tell them")
        if self.prompt_logprobs is not None and self.echo:
            raise ValueError("prompt_logprobs: with echo the reply begins with the prompt; ask for logprobs")
        if self.response_format and (structured := self.response_format.structured):
            try:
                parse_structured(structured)
            except StructuredError as error:
                raise ValueError(f"response_format: {str(error).removeprefix('structured output: ')}") from None
        return self

    def sampling(self, context: int, temperature: float) -> Sampling:
        """`context`: the most tokens that there is room for; `temperature`: where the client does not say."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=min(self.max_tokens or context, context),
            temperature=temperature if self.temperature is None else self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=tuple(dict.fromkeys(stops)),
            structured=self.response_format.structured if self.response_format else None,
            ignore_eos=self.ignore_eos,
            min_p=self.min_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias=tuple(sorted((int(token), bias) for token, bias in self.logit_bias.items())),
            bad_words=tuple(self.bad_words),
            stop_token_ids=tuple(self.stop_token_ids),
            min_tokens=self.min_tokens,
            prompt_logprobs=self.prompt_logprobs,
            repetition=self.repetition_detection.wanted if self.repetition_detection else None,
        )
