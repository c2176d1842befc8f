"""An expert: something that answers. A checkpoint, an adapter over a base, a recipe, or a remote model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Weights:
    """Where an expert's tensors come from: a checkpoint folder, plus a LoRA adapter folder if it has one."""

    model: Path
    adapter: Path | None = None


@dataclass(frozen=True, slots=True)
class ExpertRecipe:
    """A merge by any method of `merging.methods`, e.g. `linear`: sum of w_i * theta_i / sum w.

    Parameters are mergekit's, as its YAML writes them (numbers, lists, filters): `{"lambda": 0.8}` of the merge,
    `[{"density": 0.5}, ...]` of each source; `coefficients` are the sources' parameter `weight`.
    """

    method: str
    sources: tuple[Weights, ...]
    coefficients: tuple[float, ...]
    base: Weights | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    each: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    seed: int = 0
    """Of the methods that draw at random."""

    def raw(self) -> dict[str, Any]:
        """As mergekit's keys, for `merging.recipe.parse`."""
        each = self.each or ({},) * len(self.sources)
        models = [
            {"model": _reference(source), "parameters": {"weight": weight, **own}}
            for source, weight, own in zip(self.sources, self.coefficients, each, strict=True)
        ]
        base = {"base_model": _reference(self.base)} if self.base else {}
        return {"merge_method": self.method, "models": models, "parameters": dict(self.parameters), **base}


def _reference(source: Weights) -> dict[str, Any]:
    adapter = {"lora": {"path": str(source.adapter)}} if source.adapter else {}
    return {"model": {"path": str(source.model)}, **adapter}


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """An OpenAI-compatible chat model at a URL. Keys are read from environment variables, never stored."""

    url: str
    model: str
    api_key_env: str | None = None
    concurrency: int = 8
    """Most requests in flight; fewer while its server's rate limits ask for fewer."""
    timeout: float | None = None
    """Longest silence of its server, seconds: before the first byte and between two. None: the engine's."""
    tries: int | None = None
    """Most attempts for one request. None: the engine's."""
    headers: tuple[tuple[str, str], ...] = ()
    """(name, value); `$NAME` as value stands for that environment variable."""
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that are added to every request's body."""
    leave_out: tuple[str, ...] = ()
    """Fields of the body that its server does not take."""
    max_completion_tokens: bool = False
    """The server wants `max_completion_tokens` in place of `max_tokens`."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What an expert's replies cost, in US dollars. All that is given is added up."""

    input: float = 0.0
    """Per million prompt tokens."""
    cached: float | None = None
    """Per million prompt tokens that the server had in its cache. None: as `input`."""
    output: float = 0.0
    """Per million completion tokens, reasoning among them."""
    second: float = 0.0
    """Per second of a worker, for experts on one's own machines."""


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """How an expert is sampled by the service where the client does not say: the configuration's word, then its
    generation_config.json's. None: neither says anything."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Expert:
    """A checked expert, ready for a worker. Exactly one of `weights`, `recipe`, `remote`, `script` is set.

    `fingerprint` hashes the contents that decide its answers (weights, config, tokenizer, chat template), so
    equal fingerprints mean equal answers wherever the files lie. Experts of equal `shape` (architecture, tensor
    shapes, dtype, tokenizer) replace one another in place inside a running engine.
    """

    name: str
    fingerprint: str
    shape: str
    weights: Weights | None = None
    recipe: ExpertRecipe | None = None
    remote: RemoteModel | None = None
    script: str | None = None
    """Scripted engine only: the module path `package.module:function` that answers (for tests)."""
    chat_template: str | None = None
    """A Jinja chat template that replaces the tokenizer's own."""
    context: int = 2048
    """Longest prompt plus completion, in tokens."""
    file_bytes: int = 0
    """Bytes read from disk to load it."""
    prices: Prices | None = None
    """None: not known."""
    longest_reply: int | None = None
    """Tokens that its server replies with at most. None: not known."""
    dtype: str | None = None
    """The type that it is computed in, where that is not what its config.json says."""
    quantization: str | None = None
    """vLLM's name of a quantisation that is applied on the way in."""
    defaults: SamplingDefaults = SamplingDefaults()
    system: str | None = None
    """A system message for conversations that bring none."""
    template_variables: str | None = None
    """Canonical JSON of variables for its chat template, such as {"enable_thinking": false}."""
    stop: tuple[str, ...] = ()
    """Texts that end each of its replies."""
    reasoning_tokens: int | None = None
    """Tokens that its thoughts may take beside a reply's `max_tokens`. None: thoughts count as the reply."""
    trust_remote_code: bool = False
    """Run the Python that lies in its folder."""

    @property
    def folder(self) -> Path:
        """The checkpoint folder whose config and tokenizer it uses. Raises ValueError for an expert without one."""
        source = self.weights or (self.recipe and (self.recipe.base or self.recipe.sources[0]))
        if not source:
            raise ValueError(f"expert {self.name!r} has no checkpoint")
        return source.model

    @property
    def files(self) -> tuple[Path, ...]:
        """Every folder that must exist on the node where the expert runs."""
        sources = (self.weights,) if self.weights else ()
        if self.recipe:
            sources = (*self.recipe.sources, *((self.recipe.base,) if self.recipe.base else ()))
        folders = [path for source in sources for path in (source.model, source.adapter) if path]
        return tuple(dict.fromkeys(folders))
