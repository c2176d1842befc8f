"""Which slices of a recipe each tower of a model is made by, and the layers that come out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from merging.checkpoint import CheckpointError
from merging.naming import LayerName
from merging.recipe import ModelRef, Recipe, Slice, Source
from merging.settings import RecipeError
from merging.source_model import SourceModel
from merging.towers import Tower, sliceable

BRIDGES = ("projector", "connector", "merger", "resampler", "adapter", "aligner")
"""Between two towers: they belong to neither."""


@dataclass(frozen=True)
class Layer:
    """A layer of the result: its slice, its number in there, and how deep it lies in it (0 to 1)."""

    part: Slice
    index: int
    depth: float

    def number(self, source: Source) -> int:
        """The layer of a source that it is made of."""
        return (source.layers[0] if source.layers else 0) + self.index


class TowerSlices:
    """A recipe's slices by tower of its first model; `layers` holds the result's layers by tower."""

    def __init__(self, recipe: Recipe, models: Mapping[ModelRef, SourceModel]) -> None:
        """Raises `RecipeError` for ranges and modules, `CheckpointError` for numbers of layers that differ."""
        self._recipe, self._models = recipe, models
        self._template = models[recipe.models[0]]
        self._sliced = any(source.layers for part in recipe.slices for source in part.sources)
        last = recipe.slices[-1]
        self._last = replace(last, sources=tuple(replace(source, layers=None) for source in last.sources))
        self._modules = self._module_parts()
        self.layers: Mapping[str, list[Layer]] = {
            head: self._layers(tower) for head, tower in self._template.towers.items()
        }

    def of(self, head: str) -> tuple[Slice, ...] | None:
        """The slices that a tower, or what stands under an outer name, is made by; None: it is kept."""
        if self._modules is not None:
            return self._modules.get(head)
        return (self._last,) if self.follows(head) else self._recipe.slices

    def follows(self, head: str) -> bool:
        """Layers that no slice chooses, since they stand after the others (further tokens): the last slice's, all."""
        return self._modules is None and self._sliced and not sliceable([self._template.towers[head]])

    def of_outer(self, name: str) -> tuple[Slice, ...] | None:
        """The slices that a tensor outside all layers is made by; None: it is kept."""
        if self._modules is None:
            return self._recipe.slices
        first = f"{name.split('.')[0]}."
        if first in self._modules:
            return self._modules[first]
        for head in self._template.towers:
            if head.startswith(first):
                return self._modules.get(head)
        main = next(iter(self._template.towers), "")
        alone = first.rstrip(".") not in (tower.name for tower in self._template.towers.values())
        inside = not any(word in first for word in BRIDGES)
        return self._modules.get(main) if alone and inside else None

    def unnamed(self, name: str) -> bool:
        """No module of the recipe names the part that the tensor is in."""
        layer = LayerName.of(name)
        return self._modules is not None and (self.of(layer.head) if layer else self.of_outer(name)) is None

    def taken_from(self, name: str, ref: ModelRef) -> bool:
        """Whether a slice of the tensor's part lists the model."""
        layer = LayerName.of(name)
        parts = (self.of(layer.head) if layer else self.of_outer(name)) or ()
        return any(source.model == ref for part in parts for source in part.sources)

    def _module_parts(self) -> dict[str, tuple[Slice, ...]] | None:
        """The slices of each tower (by head) or of what stands under a name; None: all alike."""
        towers = sliceable(self._template.towers.values())
        named = {part.module for part in self._recipe.slices}
        if named == {None}:
            if self._sliced and len(towers) > 1:
                names = ", ".join(tower.name for tower in towers)
                raise RecipeError(
                    f"slices: {self._template.label} has layers in {names}: say under `modules:` which are sliced"
                )
            return None
        found: dict[str, tuple[Slice, ...]] = {}
        outer = {name.split(".")[0] for name in self._template.weights if LayerName.of(name) is None}
        for module in dict.fromkeys(part.module for part in self._recipe.slices):
            parts = tuple(part for part in self._recipe.slices if part.module == module)
            called = [tower for tower in towers if module and tower.called(module)]
            called = called[:1] or (towers if len(towers) == 1 and len(named) == 1 else [])
            if called:
                found[called[0].head] = parts
            elif module in outer or module in ("shared", "multi_modal_projector"):
                found[f"{module}."] = parts
            else:
                known = [*(tower.name for tower in towers), *sorted(outer - {tower.name for tower in towers})]
                raise RecipeError(
                    f"modules: {self._template.label} has no module {module!r}; it has {', '.join(known)}"
                )
        return found

    def _layers(self, tower: Tower) -> list[Layer]:
        parts = self.of(tower.head)
        if parts is None:
            parts = (Slice((Source(self._recipe.models[0]),)),)
        found = []
        for part in parts:
            first = self.lead(part, tower.head)
            count = self._count(first, tower.head)
            for source in part.sources:
                self._check_range(source, tower.head, count, first)
            found += [Layer(part, index, index / (count - 1) if count > 1 else 1.0) for index in range(count)]
        if tower.layers and not found:
            raise RecipeError(f"slices: every layer_range is empty: the result would have no layer in {tower.name}")
        return found

    def lead(self, part: Slice, head: str) -> Source:
        """The slice's first source that has the tower; the recipe's first model where none has."""
        having = (source for source in part.sources if head in self._models[source.model].towers)
        return next(having, Source(self._recipe.models[0]))

    def _count(self, source: Source, head: str) -> int:
        if source.layers is not None:
            return source.layers[1] - source.layers[0]
        return self._models[source.model].towers[head].layers

    def _check_range(self, source: Source, head: str, count: int, first: Source) -> None:
        tower = self._models[source.model].towers.get(head)
        if tower is None:
            return
        if source.layers is not None and source.layers[1] > tower.layers:
            raise RecipeError(f"layer_range {list(source.layers)} of {source.model}: it has {tower.layers} layers")
        if source.layers is None and tower.layers != count:
            raise CheckpointError(f"{source.model} has {tower.layers} layers in {tower.name}, {first.model} {count}")
        if source.stated is not None and source.stated != (0, tower.layers):
            raise RecipeError(
                f"layer_range {list(source.stated)} of {source.model} stands under `models`, where it has no effect; "
                "write `slices`"
            )
