"""A merge as data: which models, layer by layer, by which method, with which parameters.

`merging.recipe_file` reads it from mergekit's YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from merging import extensions
from merging.methods import METHODS
from merging.methods.method import MergeMethod
from merging.settings import RecipeError, Settings


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A checkpoint folder or hub id, with a LoRA adapter (folder or hub id) over it if there is one."""

    model: str
    adapter: str | None = None
    revision: str | None = None
    adapter_revision: str | None = None

    def __str__(self) -> str:
        parts = ((self.model, self.revision), (self.adapter, self.adapter_revision))
        return "+".join(f"{name}@{revision}" if revision else name for name, revision in parts if name)


@dataclass(frozen=True, slots=True)
class Source:
    """One model of a merge, with its own parameters. `layers`: the half-open range that a slice takes, or all."""

    model: ModelRef
    parameters: Settings = field(default_factory=dict)
    layers: tuple[int, int] | None = None
    stated: tuple[int, int] | None = None
    """A layer_range where there are no slices: it must be all of the model's."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive layers of the result. A merge of whole models is one slice."""

    sources: tuple[Source, ...]
    base: ModelRef | None = None
    parameters: Settings = field(default_factory=dict)
    module: str | None = None
    """The tower that the recipe names for it (`modules:`); None: whatever the models have."""


@dataclass(frozen=True, slots=True)
class TokenRule:
    """Where a token's embedding comes from: a model's same token, another token of it, or zeros (model None)."""

    model: ModelRef | None
    token: str | int | None = None
    force: bool = False
    """Also where a source has the token itself."""


@dataclass(frozen=True, slots=True)
class TokenizerChoice:
    """`source`: union, base, or a model. Models are aligned token by token."""

    source: str | ModelRef = "union"
    tokens: Mapping[str, TokenRule] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked merge. `text` is the YAML it was read from, if it was."""

    method: str
    """As the recipe names it: a method's name, its entry point, or `module:attribute`."""
    slices: tuple[Slice, ...]
    base: ModelRef | None = None
    parameters: Settings = field(default_factory=dict)
    dtype: str | None = None
    """safetensors' name of the type that is written; None: that of each tensor in the first model."""
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None
    seed: int = 0
    """Of the methods that draw at random."""
    notes: tuple[str, ...] = ()
    """What the reader should know: parameters that this method does not use."""
    text: str | None = None
    name: str | None = None
    """By which other recipes of the same file take the result for a model."""
    inner: Mapping[ModelRef, Recipe] = field(default_factory=dict)
    """The models that are results of other recipes of the same file, which are not written."""

    @property
    def rule(self) -> MergeMethod:
        """The recipe's merge method."""
        return method_named(self.method, "recipe")

    @property
    def models(self) -> tuple[ModelRef, ...]:
        """Every model that takes part, once; first the one whose config and tokenizer the result has."""
        named = [self.base] if self.base else []
        for part in self.slices:
            named += [part.base] if part.base else []
            named += [source.model for source in part.sources]
        return tuple(dict.fromkeys(named))

    def seeded(self, seed: int) -> Recipe:
        """The same recipe with another seed for its random draws."""
        return replace(self, seed=seed)


def one_spelling(recipe: Recipe) -> Recipe:
    """The same recipe where a folder that it writes in several ways (`base`, `./base/`, a link) is one model."""
    known: dict[tuple[str | None, ...], ModelRef] = {}

    def same(ref: ModelRef) -> ModelRef:
        place = (_real(ref.model), ref.revision, _real(ref.adapter), ref.adapter_revision)
        return known.setdefault(place, ref)

    choice = recipe.tokenizer
    if choice is not None:
        rules = {token: replace(rule, model=rule.model and same(rule.model)) for token, rule in choice.tokens.items()}
        source = same(choice.source) if isinstance(choice.source, ModelRef) else choice.source
        choice = replace(choice, source=source, tokens=rules)
    slices = [
        replace(
            part,
            base=part.base and same(part.base),
            sources=tuple(replace(source, model=same(source.model)) for source in part.sources),
        )
        for part in recipe.slices
    ]
    return replace(recipe, base=recipe.base and same(recipe.base), slices=tuple(slices), tokenizer=choice)


def _real(name: str | None) -> str | None:
    """A folder's or file's one path; a hub id as it is."""
    return str(Path(name).resolve()) if name and Path(name).exists() else name


def method_named(name: object, where: str) -> MergeMethod:
    """A merge method by its name, an entry point or `module:attribute`. Raises `RecipeError`."""
    for method in METHODS:
        if method.name == name:
            return method
    try:
        own = extensions.found(name) if isinstance(name, str) else None
    except ValueError as error:
        raise RecipeError(f"{where}: merge_method: {error}") from error
    if isinstance(own, MergeMethod):
        return own
    known = [method.name for method in METHODS]
    raise RecipeError(f"{where}: merge_method: {str(name)[:80]!r} is none of {', '.join(known)}")
