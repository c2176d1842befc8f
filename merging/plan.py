"""A recipe over opened checkpoints: which tensors come out, from which tensors of which models, with which values.

    merge = Merge(recipe)                       # opens and checks everything, reads no weights
    for name, bits in merge: ...                # bits as stored: bfloat16 as uint16
    merge.write(name, out)                      # one tensor into an array of yours; any thread, any order

Everything that can be refused is refused while planning: missing tensors, shapes, parameters. What is not checked
before its turn: the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import FLOATS, STORAGE, CheckpointError
from merging.config_agreement import check_heads, disagreements
from merging.device import TorchDevice
from merging.layout import Layout, Place
from merging.methods import METHODS
from merging.methods.linear import WeightedSum
from merging.methods.method import FinishBlock, MergeMethod, Values
from merging.parameters import values_of
from merging.processor import Processor, can_sum_bits, summed_bits
from merging.recipe import ModelRef, Recipe
from merging.settings import RecipeError
from merging.source_model import LeftOut, SourceModel, Weight, work_type
from merging.sources import open_models
from merging.stack import Backend, Slab, Stack
from merging.statistics import ActivationStatistics
from merging.stream import Model
from merging.vocabulary import Vocabulary

PIECE = 1 << 24
"""Elements that one thread takes at a time where a tensor can be divided."""
MAX_USUAL = 1e3
"""Of weights and scales: with larger ones a result is checked for overflow."""
PASSTHROUGH = next(method for method in METHODS if method.name == "passthrough")


@dataclass(frozen=True)
class Target:
    """One tensor of the result."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stack: Stack
    values: Values
    method: MergeMethod
    copied: Weight | None = None
    """Not computed (integers, flags): this tensor as it is."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Merge:
    """A recipe, checked against its models."""

    def __init__(
        self,
        recipe: Recipe,
        models: Mapping[ModelRef, Model] | None = None,
        *,
        allow_nan: bool = False,
        allow_bin: bool = False,
        inner: Mapping[ModelRef, SourceModel] | None = None,
        vocabulary: Vocabulary | None = None,
        device: str | None = None,
    ) -> None:
        """`models`: those already open. `inner`: results of other recipes (`merging.nested.planned` makes them).
        `allow_bin`: read pickled weights too. `device`: torch's name of one; None: the compiled kernels.

        Raises `RecipeError` and `CheckpointError`."""
        self.recipe = recipe
        self.allow_nan = allow_nan
        self.backend: Backend = Processor() if device is None else TorchDevice(device)
        if device is not None and not recipe.rule.device:
            able = ", ".join(method.name for method in METHODS if method.device)
            raise RecipeError(f"{recipe.method} is computed on the CPU only; on a device of torch's: {able}")
        self.models: Mapping[ModelRef, SourceModel] = open_models(recipe, models or {}, inner or {}, allow_bin)
        self.template: SourceModel = self.models[recipe.models[0]]
        """The model whose config, tokenizer and types the result has."""
        others = [model for model in self.models.values() if model is not self.template]
        for other in others:
            check_heads(self.template, other)
        if vocabulary is None and recipe.tokenizer is not None:
            vocabulary = Vocabulary.build(recipe, self.models)
        self.vocabulary = vocabulary
        self.layout = Layout(recipe, self.models)
        self._statistics = ActivationStatistics()
        self.targets: Mapping[str, Target] = {place.stored: self._target(place) for place in self.layout.places}
        self.notes = [*recipe.notes, *(note for model in self.models.values() for note in model.notes)]
        self.notes += disagreements(self.template, others)
        self.notes += [*self.layout.notes, *(vocabulary.notes if vocabulary else ()), *self._statistics.notes()]

    @property
    def names(self) -> tuple[str, ...]:
        """The result's tensors, in the order in which they are written."""
        return tuple(self.targets)

    @property
    def left_out(self) -> list[LeftOut]:
        """What of the sources is not in the result, with the reasons."""
        return self.layout.left_out

    @property
    def bytes(self) -> int:
        """Bytes of all files that take part."""
        files = {
            id(file): file.bytes for model in self.models.values() for file in (model.checkpoint, model.adapter) if file
        }
        return sum(files.values())

    def pieces(self, name: str) -> list[tuple[int, int]]:
        """Ranges of elements that may be computed apart from one another, on any thread."""
        target = self.targets[name]
        if target.copied is None and target.method.elementwise and target.size > PIECE:
            return [(start, min(start + PIECE, target.size)) for start in range(0, target.size, PIECE)]
        return [(0, target.size)]

    def blocks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """(first element, bits) of one tensor, block by block. The array is overwritten by the next block."""
        target = self.targets[name]
        if target.copied is not None:
            yield start, _whole(target.copied).reshape(-1)[start:stop]
            return
        method = target.method
        finish = begin(target)
        last = target.size if stop is None else stop
        on_cores = isinstance(self.backend, Processor)
        direct = on_cores and not _may_overflow(target)
        if direct and isinstance(finish, WeightedSum) and can_sum_bits(target.stack, finish.weights, target.dtype):
            yield from summed_bits(target.stack, finish.weights, finish.divisor, start, last)
            return
        watched = not self.allow_nan and _may_overflow(target)
        for block in target.stack.blocks(method.taus, method.rows, start, last):
            finish(block)
            bits = self.backend.encoded(block.out, target.dtype)
            if watched:
                _check_range(bits, target)
            yield block.start, bits

    def write(self, name: str, out: NDArray[Any]) -> None:
        """Compute one tensor into `out` (its shape; bits as stored)."""
        flat = out.reshape(-1)
        for start, bits in self.blocks(name):
            flat[start : start + bits.size] = bits

    def array(self, name: str) -> NDArray[Any]:
        """The merged tensor, of its own shape and type."""
        target = self.targets[name]
        out = np.empty(target.shape, np.dtype(STORAGE[target.dtype]))
        self.write(name, out)
        return out

    def __iter__(self) -> Iterator[tuple[str, NDArray[Any]]]:
        return ((name, self.array(name)) for name in self.targets)

    # Planning ---------------------------------------------------------------------------------------------------

    def _target(self, place: Place) -> Target:
        first = place.inputs[0]
        if first.dtype not in FLOATS:
            return self._copied(place)
        for weight in (*place.inputs, *([place.base] if place.base else [])):
            if weight.dtype not in FLOATS:
                raise CheckpointError(
                    f"tensor {place.stored!r} is {weight.dtype} in one model and {first.dtype} in another"
                )
        refs = [source.model for source in place.sources]
        slabs = [self._slab(place.name, weight, ref) for weight, ref in zip(place.inputs, refs, strict=True)]
        base = None
        if place.base is not None and place.base_model is not None:
            base = self._slab(place.name, place.base, place.base_model)
        shape = self._same_shape(place)
        weights = [*place.inputs, *([place.base] if place.base else [])]
        dtype = self.recipe.dtype or self._type(place, first)
        work = np.dtype(np.float64) if dtype == "F64" else work_type(weights)
        stack = Stack(place.stored, shape, tuple(slabs), base, work, self.backend, self.recipe.seed)
        if place.kept:
            return Target(place.stored, dtype, shape, stack, Values({}, {"scale": (1.0,)}), PASSTHROUGH)
        names = [
            self.models[ref].names.get(weight.name, weight.name) for ref, weight in zip(refs, place.inputs, strict=True)
        ]
        values = values_of(
            self.recipe.rule, self.recipe, place.part, place.sources, [*names, place.stored], place.depth
        )
        if "statistics" in values.each:
            found = self._statistics.of(self.recipe.method, values.each["statistics"], names, shape)
            stack = replace(stack, statistics=found)
        return Target(place.stored, dtype, shape, stack, values, self.recipe.rule)

    def _type(self, place: Place, first: Weight) -> str:
        """The type of the result where the recipe does not say: the first model's; 8 bits are widened."""
        held = self.template.weights.get(place.name, first).dtype
        return held if held in ("F64", "F32", "F16", "BF16") else "BF16"

    def _copied(self, place: Place) -> Target:
        weight = place.inputs[0]
        stack = Stack(place.stored, weight.shape, (), None, np.dtype(np.float32), self.backend)
        self._same_shape(place)
        for other in place.inputs[1:]:
            if other.bits is None or not np.array_equal(_whole(other), _whole(weight)):
                self.layout.notes.append(
                    f"{place.stored}: {weight.dtype}, not merged: {place.sources[0].model}'s, from which others differ"
                )
                break
        return Target(place.stored, weight.dtype, weight.shape, stack, Values({}, {}), PASSTHROUGH, weight)

    def _slab(self, name: str, weight: Weight, ref: ModelRef) -> Slab:
        if self.vocabulary is None or not self.vocabulary.concerns(name):
            return weight.slab(self.allow_nan)
        return self.vocabulary.aligned(name, ref, self.models, self.allow_nan)

    def _same_shape(self, place: Place) -> tuple[int, ...]:
        found = {source.model: weight.shape for source, weight in zip(place.sources, place.inputs, strict=True)}
        if place.base is not None and place.base_model is not None:
            found[place.base_model] = place.base.shape
        if self.vocabulary is not None and self.vocabulary.concerns(place.name):
            found = {ref: self.vocabulary.shape(place.name, shape) for ref, shape in found.items()}
        first, shape = next(iter(found.items()))
        for ref, other in found.items():
            if other != shape:
                hint = ""
                if other[1:] == shape[1:] and self.vocabulary is None:
                    hint = "; vocabularies differ? `tokenizer_source: union` (or base) aligns them"
                raise CheckpointError(
                    f"tensor {place.stored!r} has shape {list(other)} in {ref}, {list(shape)} in {first}{hint}"
                )
        return shape


def begin(target: Target) -> FinishBlock:
    """What finishes blocks of this tensor, by its method."""
    return target.method.begin(target.stack, target.values)


def _may_overflow(target: Target) -> bool:
    """float16 ends at 65,504; the other types only where a parameter is far larger than any that is meant."""
    given = [*target.values.shared.values(), *(item for items in target.values.each.values() for item in items)]
    return target.dtype == "F16" or any(isinstance(item, int | float) and abs(item) > MAX_USUAL for item in given)


def _check_range(bits: NDArray[Any], target: Target) -> None:
    exponent = {"F16": 0x7C00, "BF16": 0x7F80}.get(target.dtype)
    over = ~np.isfinite(bits) if exponent is None or bits.dtype.kind == "f" else (bits & exponent) == exponent
    if over.any():
        raise CheckpointError(
            f"tensor {target.name!r}: the result does not fit into {target.dtype}: write `dtype: bfloat16` or float32, "
            "or use smaller parameters (--allow-nan writes infinities)"
        )


def _whole(weight: Weight) -> NDArray[Any]:
    assert weight.bits is not None
    return weight.bits()
