"""Which tensors a merge makes, and of which each: by tower, layer and slice, under the names of its first model.

Every tensor of every source is used, or is left out with a reason: what neither holds for is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from merging.checkpoint import CheckpointError, ties
from merging.naming import EMBEDDINGS, HEAD, LayerName, stored_like
from merging.recipe import ModelRef, Recipe, Slice, Source
from merging.settings import RecipeError
from merging.source_model import LeftOut, SourceModel, Weight
from merging.tower_slices import Layer, TowerSlices
from merging.towers import outer_order

OPTIONAL = ("pooler", "final_logits_bias")
"""Parts that some checkpoints of an architecture have and others have not."""
_ON_TOP = re.compile(
    r"(?!lm_)\w+_heads?|scores?|\w*classifier|qa_outputs|summary|gating|(regression|reward|value|critic|mtp|nextn|eagle)\w*"
)
"""What is put on top for a purpose of its own (values, labels, drafts, further tokens): the result has it if its first
model has."""
FOLLOWS = "embeddings come from the first slice, what follows the layers from the last"
KEPT = "the recipe names no module for it"


@dataclass(frozen=True)
class Place:
    """A tensor of the result, and where each source has what it is made of.

    `inputs` are weights in the order of `sources`; `base` is the point that task vectors start from. `kept`: the one
    source is taken over as it is.
    """

    name: str
    """Common name in the result."""
    stored: str
    part: Slice
    depth: float
    sources: tuple[Source, ...]
    inputs: tuple[Weight, ...]
    base: Weight | None
    base_model: ModelRef | None
    kept: bool = False


class Layout:
    """`places` in the order in which they are written; `left_out` what of the sources is in none of them."""

    def __init__(self, recipe: Recipe, models: Mapping[ModelRef, SourceModel]) -> None:
        """Raises `RecipeError` for ranges and modules, `CheckpointError` for tensors that are missing or unknown."""
        self.recipe, self.models = recipe, models
        self.template = models[recipe.models[0]]
        self.notes: list[str] = []
        self.left_out: list[LeftOut] = [left for model in models.values() for left in model.left_out]
        self._used: dict[ModelRef, set[str]] = {ref: set() for ref in models}
        self._kept: dict[tuple[str, str], list[str]] = {}
        self._slices = TowerSlices(recipe, models)
        self.layers = self._slices.layers
        """By tower."""
        self.places: tuple[Place, ...] = tuple(self._places())
        for (label, why), names in self._kept.items():
            self.notes.append(f"{names[0]}{_more(names)}: taken over from {label}: {why}")
        self._account()

    # Places -----------------------------------------------------------------------------------------------------

    def _places(self) -> Iterator[Place]:
        names = self._names()
        outer = [name for name in names if LayerName.of(name) is None or self._is_extra(name)]
        for order in (0, 1):
            if order == 1:
                for head in self.template.towers:
                    yield from self._layered(head, names)
            for name in outer:
                if outer_order(name) == order:
                    yield self._outer(name, order)

    def _names(self) -> list[str]:
        """Common names of the result outside slices: the first model's, and what parts of others arrive beside them."""
        names = list(self.template.weights)
        taking_part = [
            ref
            for ref in self.models
            if any(ref == source.model for part in self.recipe.slices for source in part.sources)
        ]
        headed = any(HEAD in self.models[ref].weights for ref in taking_part)
        if HEAD not in names and headed and self._head_belongs():
            names.append(HEAD)
        if HEAD not in names and headed and not self._head_belongs():
            having = next(self.models[ref] for ref in taking_part if HEAD in self.models[ref].weights)
            if having.architecture == self.template.architecture:
                raise CheckpointError(
                    f"{self.template.label}: tensor {stored_like(HEAD, self.template.names)!r} is missing "
                    f"({having.label} has it), and config.json does not tie it to the embedding"
                )
        known = {_kind(name) for name in names}
        for ref in taking_part:
            for name in self.models[ref].weights:
                if _kind(name) in known or name == HEAD:
                    continue
                layer = LayerName.of(name)
                if layer is None and self._arrives(name, self.models[ref]):
                    names.append(name)
                    known.add(name)
                elif part_of(name) in {part_of(other) for other in self.template.weights} and not self._beyond(
                    name, ref
                ):
                    raise CheckpointError(
                        f"{ref}: tensor {self.models[ref].names[name]!r} is unknown to {self.template.label}"
                    )
        return names

    def _head_belongs(self) -> bool:
        """The first model ties its output layer, and has an embedding that stands for it."""
        return self.template.embedding is not None and ties(self.template.config) is not False

    def _arrives(self, name: str, model: SourceModel) -> bool:
        """A part that the first model lacks, of a model of the same architecture; without layers of its own."""
        mine, part = {part_of(other) for other in self.template.weights}, part_of(name)
        stacked = any(other.split(".")[0] == part and LayerName.of(other) for other in model.weights)
        same = model.architecture == self.template.architecture
        return part not in mine and same and not stacked and not _on_top(part)

    def _beyond(self, name: str, ref: ModelRef) -> bool:
        """In a layer that predicts further tokens, which only this model has."""
        layer = LayerName.of(name)
        tower = self.models[ref].towers.get(layer.head) if layer else None
        return layer is not None and tower is not None and layer.number >= tower.layers

    def _is_extra(self, name: str) -> bool:
        layer = LayerName.of(name)
        return layer is not None and layer.number >= self.template.towers[layer.head].layers

    def _layered(self, head: str, names: Sequence[str]) -> Iterator[Place]:
        tails = dict.fromkeys(
            layer.tail
            for layer in map(LayerName.of, names)
            if layer and layer.head == head and not self._is_extra(layer.numbered(layer.number))
        )
        for number, layer in enumerate(self.layers[head]):
            lead = self._slices.lead(layer.part, head)
            held = [tail for tail in tails if f"{head}{layer.number(lead)}{tail}" in self.models[lead.model].weights]
            self._check_kind(layer, head, lead, set(held))
            for tail in held:
                if self._slices.of(head) is None:
                    yield self._keep(f"{head}{number}{tail}", KEPT, None, (head, tail, layer))
                    continue
                yield self._place(f"{head}{number}{tail}", layer.part, layer.depth, (head, tail, layer))

    def _check_kind(self, layer: Layer, head: str, lead: Source, held: set[str]) -> None:
        """All sources of a layer have the same tensors in it."""
        for source in layer.part.sources:
            model = self.models[source.model]
            if head not in model.towers:
                continue
            prefix = f"{head}{layer.number(source)}."
            for name in model.weights:
                if name.startswith(prefix) and name[len(prefix) - 1 :] not in held:
                    raise CheckpointError(
                        f"{source.model}: tensor {model.names[name]!r} has no counterpart in layer "
                        f"{layer.number(lead)} of {lead.model}"
                    )

    def _outer(self, name: str, order: int) -> Place:
        parts = self._slices.of_outer(name)
        if parts is None:
            return self._keep(name, KEPT)
        out = name
        if self._is_extra(name):
            # The layer that predicts further tokens comes after the last one, however many there are.
            layer = LayerName.of(name)
            assert layer is not None
            shift = len(self.layers[layer.head]) - self.template.towers[layer.head].layers
            out = layer.numbered(layer.number + shift)
        return self._place(name, parts[0 if order == 0 else -1], 0.0, None, out)

    def _place(
        self, name: str, part: Slice, depth: float, layer: tuple[str, str, Layer] | None, out: str | None = None
    ) -> Place:
        method = self.recipe.rule
        base = part.base or self.recipe.base
        apart = base is not None and method.base in ("required", "optional")
        sources = [source for source in part.sources if not (apart and source.model == base)]
        if method.base == "source" and base and all(source.model != base for source in sources):
            sources.append(Source(base, layers=part.sources[0].layers))
        inputs = [self._input(name, source, layer) for source in sources]
        held = [(source, weight) for source, weight in zip(sources, inputs, strict=True) if weight is not None]
        base_weight = self._input(name, _base_source(base, part), layer) if apart and base is not None else None
        lacking = len(held) < len(sources) or (apart and base_weight is None)
        if lacking and (len(held) < max(2, method.min_sources) or (apart and base_weight is None)):
            return self._keep(name, "the others have no such part", out, layer)
        if lacking:
            self._remember(name, ", ".join(str(source.model) for source, _ in held), "the others have no such part")
        for source, weight in held:
            self._used[source.model].add(weight.name)
        if base_weight is not None and base is not None:
            self._used[base].add(base_weight.name)
        return Place(
            out or name,
            self._stored(out or name),
            part,
            depth,
            tuple(source for source, _ in held),
            tuple(weight for _, weight in held),
            base_weight,
            base if base_weight is not None else None,
        )

    def _keep(self, name: str, why: str, out: str | None = None, layer: tuple[str, str, Layer] | None = None) -> Place:
        """The tensor of the first model that has it, as it is."""
        order = [self.recipe.models[0], *self.models]
        for ref in order:
            own = name if layer is None else f"{layer[0]}{layer[2].number(Source(ref))}{layer[1]}"
            weight = self.models[ref].weights.get(own)
            if weight is not None:
                self._used[ref].add(own)
                self._remember(self.models[ref].names[own], str(ref), why)
                part = Slice((Source(ref),))
                return Place(
                    out or name, self._stored(out or name), part, 0.0, part.sources, (weight,), None, None, True
                )
        raise CheckpointError(f"tensor {name!r} is in none of the models")

    def _remember(self, name: str, label: str, why: str) -> None:
        self._kept.setdefault((label, why), []).append(name)

    def _stored(self, name: str) -> str:
        """What the first model calls it, or would call it."""
        own = self.template.names.get(name)
        if own is not None:
            return own
        layer = LayerName.of(name)
        if layer is not None:
            for number in range(self.template.towers[layer.head].layers + self.template.towers[layer.head].extra):
                other = self.template.names.get(layer.numbered(number))
                if other is not None:
                    held = LayerName.of(other)
                    assert held is not None
                    return held.numbered(layer.number)
        return stored_like(name, self.template.names)

    def _input(self, name: str, source: Source, layer: tuple[str, str, Layer] | None) -> Weight | None:
        """The source's weight; None where it lacks the whole part and may. Raises `CheckpointError`."""
        model = self.models[source.model]
        own = name if layer is None else f"{layer[0]}{layer[2].number(source)}{layer[1]}"
        found = model.weights.get(own)
        if found is None and own == HEAD and ties(model.config) is not False and model.embedding:
            return model.weights[model.embedding]
        if found is None and not self._may_lack(own, model):
            having = next((other for other in self.models.values() if name in other.names), self.template)
            stored = having.names.get(name) or stored_like(own, model.names)
            raise CheckpointError(f"{model.label}: tensor {stored!r} is missing ({having.label} has it)")
        return found

    def _may_lack(self, name: str, model: SourceModel) -> bool:
        part = part_of(name)
        if any(part_of(other) == part for other in model.weights):
            return self._is_extra(name) and not any(
                self._is_extra(other) for other in model.weights if LayerName.of(other)
            )
        main = next(iter(self.template.towers), None)
        if part == main or name in EMBEDDINGS:
            return False
        return model.architecture != self.template.architecture or part in OPTIONAL or _on_top(part)

    # Accounting -------------------------------------------------------------------------------------------------

    def _account(self) -> None:
        """Name what no tensor of the result is made of. Raises `RecipeError` where there is no reason for it."""
        for ref, model in self.models.items():
            reasons: dict[str, list[str]] = {}
            for name in model.weights:
                if name not in self._used[ref]:
                    reasons.setdefault(self._reason(name, ref, model), []).append(model.names[name])
            self.left_out += [LeftOut(model.label, tuple(names), why) for why, names in reasons.items()]

    def _reason(self, name: str, ref: ModelRef, model: SourceModel) -> str:
        listed = [source for part in self.recipe.slices for source in part.sources if source.model == ref]
        if not listed:
            return f"base_model of {self.recipe.method} gives the configuration and the tokenizer only"
        layer = LayerName.of(name)
        if part_of(name) not in {part_of(other) for other in self.template.weights}:
            return f"{self.template.label} ({self.template.architecture}) has no such part"
        if self._beyond(name, ref) or (layer is not None and self._slices.follows(layer.head)):
            has = layer is not None and (self.template.towers[layer.head].extra or self._slices.follows(layer.head))
            return FOLLOWS if has else f"a layer that predicts further tokens, which {self.template.label} has not"
        if self._slices.unnamed(name):
            return f"no module of the recipe names it: {self.template.label}'s is kept"
        if not self._slices.taken_from(name, ref):
            return "no module of the recipe takes this part from it"
        if layer is not None and any(source.layers for source in listed):
            return "in no layer_range of the recipe"
        if layer is None and len(self.recipe.slices) > 1:
            return FOLLOWS
        if name == HEAD:
            return f"{self.template.label} ties its output layer to the embedding"
        raise RecipeError(f"{model.label}: tensor {model.names[name]!r} would be lost: this is an error of the merge")


def part_of(name: str) -> str:
    """The part of a model that a tensor belongs to: its tower, or the first word of its common name."""
    layer = LayerName.of(name)
    return layer.head if layer else name.split(".")[0]


def _on_top(part: str) -> bool:
    return _ON_TOP.fullmatch(part.split(".")[0]) is not None


def _kind(name: str) -> str:
    """The same for a tensor in any layer of a tower."""
    layer = LayerName.of(name)
    return layer.numbered(0) if layer else name


def _base_source(base: ModelRef, part: Slice) -> Source:
    """The base as the slice lists it; else its layers are those of the slice's first source."""
    listed = [source for source in part.sources if source.model == base]
    return listed[0] if listed else Source(base, layers=part.sources[0].layers)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
