"""The part of the configuration that describes experts."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from orchestrator.providers import defaults

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""OWNER/NAME, where no folder of that name lies beside the configuration."""


class StrictModel(BaseModel):
    """A frozen record of the configuration that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(StrictModel):
    """One source of a recipe."""

    model: str = Field(description="Checkpoint folder, hub id (OWNER/NAME) or demo/NAME.")
    adapter: str | None = Field(default=None, description="LoRA adapter over it: folder or hub id.")
    weight: float = Field(default=1.0, description="Coefficient of this source.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Further parameters of this source, such as density."
    )


class RecipeConfig(StrictModel):
    """A merge, done on the way into the engine; nothing is written to disk."""

    method: str = Field(default="linear", description="Any method of `collegium merge`: linear, ties, dare_ties, ...")
    base: str | None = Field(default=None, description="Folder or hub id of the base, where the method needs one.")
    sources: list[SourceConfig] = Field(min_length=1)
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the merge method, such as normalize or lambda."
    )
    seed: int = Field(default=0, ge=0, description="Seed of methods that draw at random.")

    @model_validator(mode="after")
    def _can_be_done(self) -> RecipeConfig:
        from merging.recipe_file import parse
        from merging.settings import RecipeError

        def named(model: str, adapter: str | None) -> dict[str, Any]:
            return {"model": {"path": model}, **({"lora": {"path": adapter}} if adapter else {})}

        models = [
            {"model": named(each.model, each.adapter), "parameters": {"weight": each.weight, **each.parameters}}
            for each in self.sources
        ]
        base = {"base_model": named(self.base, None)} if self.base else {}
        try:
            parse({"merge_method": self.method, "models": models, "parameters": self.parameters, **base})
        except RecipeError as error:  # which speaks of mergekit's keys
            raise ValueError(str(error).removeprefix("recipe: ").replace("base_model", "a base")) from error
        if self.method == "linear" and sum(source.weight for source in self.sources) == 0:
            raise ValueError("the weights of a linear merge sum to zero")
        return self


class PricesConfig(StrictModel):
    """What an expert's replies cost, in US dollars."""

    input: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Per million prompt tokens.")
    cached: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Per million cached prompt tokens; default: as input."
    )
    output: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Per million reply tokens.")
    second: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="US dollars per second that a worker is busy with a reply."
    )


class SamplingConfig(StrictModel):
    """How an expert is sampled where a request does not say."""

    temperature: float | None = Field(default=None, ge=0, le=5, description="0: greedy.")
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Nucleus sampling: probability mass to draw from."
    )
    top_k: int | None = Field(default=None, ge=0, description="Number of likeliest tokens drawn from; 0: all.")
    repetition_penalty: float | None = Field(default=None, gt=0, le=2, description="Divides repeated tokens' logits.")
    greedy: bool = Field(default=False, description="Temperature 0 whatever generation_config.json says.")


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SECRET_HEADER = re.compile(r"(?i)auth|key|token|secret|cookie|password|credential")


class ExpertConfig(StrictModel):
    """One expert: a checkpoint (`model`), an adapter over it (`adapter`), a `recipe`, a remote model (`url`), or a
    `script`."""

    model: str | None = Field(
        default=None, description="Checkpoint folder, hub id (OWNER/NAME) or demo/NAME; with `url`: the name there."
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit of a hub model.")
    adapter: str | None = Field(default=None, description="LoRA adapter over `model`: folder (peft layout) or hub id.")
    adapter_revision: str | None = Field(default=None, description="Branch, tag or commit of a hub adapter.")
    recipe: RecipeConfig | None = Field(default=None, description="A merge of checkpoints and adapters.")
    provider: str | None = Field(
        default=None,
        description="Known provider (openai, gemini, ...): gives url, key variable and prices; needs `model`.",
    )
    url: str | None = Field(default=None, description="Base URL of an OpenAI-compatible server, ending in /v1.")
    api_key_env: str | None = Field(default=None, description="Environment variable that holds the URL's key.")
    concurrency: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="Maximum requests in flight at the URL; fewer while its rate limits say so.",
    )
    timeout: float | None = Field(
        default=None, gt=0, le=3600, description="Maximum seconds without a byte from the URL's server (default: 120)."
    )
    tries: int | None = Field(default=None, ge=1, le=20, description="Maximum attempts per request (default: 3).")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers for the URL; $NAME as value stands for that environment variable.",
    )
    extra_body: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields added to every request's body, as the URL's server wants them."
    )
    leave_out: list[str] = Field(
        default_factory=list, description="Fields of the body that the URL's server does not take: seed, temperature."
    )
    max_completion_tokens: bool = Field(
        default=False, description="The URL's server wants max_completion_tokens in place of max_tokens."
    )
    prices: PricesConfig | None = Field(
        default=None, description="What replies cost; default: known models' prices, else unknown."
    )
    script: str | None = Field(default=None, description="module:function that answers; scripted engine only.")
    chat_template: str | None = Field(default=None, description="File with a Jinja template to use instead.")
    context: int | None = Field(
        default=None,
        ge=16,
        description="Longest prompt plus reply, tokens; default: what the model was made for, as far as the KV cache "
        "holds it.",
    )
    dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        default=None, description="Type of its arithmetic (default: what its config.json says)."
    )
    quantization: str | None = Field(
        default=None, description="Quantisation applied while loading, by vLLM's name (fp8, experts_int8, ...)."
    )
    sampling: SamplingConfig = Field(
        default_factory=SamplingConfig,
        description="Sampling where a request does not say (default: generation_config.json).",
    )
    system: str | None = Field(default=None, description="System message of conversations that bring none.")
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Variables of its chat template, such as {enable_thinking: false}."
    )
    stop: list[str] = Field(default_factory=list, max_length=16, description="Texts that end each of its replies.")
    reasoning_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that its thoughts may take beside a reply's max_tokens; then the thought is closed and the "
        "answer asked for (default: thoughts count as the reply).",
    )
    trust_remote_code: bool = Field(
        default=False, description="Run the Python in its folder. Only for code that you have read."
    )
    skills: list[str] = Field(default_factory=list, description="Declared skills: displayed, never used for routing.")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        """A known provider's address and key variable, where they are not given."""
        if not isinstance(data, dict) or not isinstance(data.get("provider"), str):
            return data
        return {**defaults(data["provider"]), **{name: value for name, value in data.items() if value is not None}}

    @model_validator(mode="after")
    def _one_kind(self) -> ExpertConfig:
        kinds = [name for name in ("recipe", "url", "script") if getattr(self, name)]
        if self.model and not self.url:
            kinds.append("model")
        if len(kinds) != 1:
            raise ValueError(f"an expert has exactly one of model, recipe, url, script; this one has {kinds or 'none'}")
        if self.adapter and "model" not in kinds:
            raise ValueError("an adapter needs a model under it")
        if self.url and not self.model:
            raise ValueError("a url needs the model's name there: set model")
        if self.url and (set(urlsplit(self.url).netloc) & {"@"}):
            raise ValueError("url: a password or key in an address ends in logs: name a variable in api_key_env")
        if self.reasoning_tokens is not None and (self.url or self.script):
            raise ValueError(
                "reasoning_tokens: only vllm and transformers engines close a thought; a remote server's own field for "
                "it goes into extra_body"
            )
        remote = ("api_key_env", "timeout", "tries", "headers", "extra_body", "leave_out", "max_completion_tokens")
        if not self.url and (idle := next((name for name in remote if getattr(self, name)), None)):
            raise ValueError(f"{idle} belongs to an expert with a url")
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
                raise ValueError(f"headers: {name[:80]!r}: no header has such a name or value")
            if _SECRET_HEADER.search(name) and not value.startswith("$"):
                raise ValueError(f"headers.{name}: a key must not stand in a file: write $NAME of a variable")
        if owned := sorted({"messages", "model", "stream"} & {*self.extra_body, *(set(self.leave_out) - {"stream"})}):
            raise ValueError(f"extra_body, leave_out: {owned[0]} is not theirs to change")
        return self
