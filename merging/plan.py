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
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE, Checkpoint, CheckpointError, TensorInfo
from merging.device import TorchDevice
from merging.layers import LayerName, layer_count, outer_order
from merging.methods import METHODS
from merging.methods.linear import WeightedSum
from merging.methods.method import REQUIRED, FinishBlock, MergeMethod, Values
from merging.processor import Processor, can_sum_bits, summed_bits
from merging.recipe import ModelRef, Recipe, Slice, Source
from merging.settings import RecipeError, Settings, value
from merging.sources import ActivationStatistics, open_model, slab_of
from merging.stack import Backend, Slab, Stack
from merging.stream import Model
from merging.vocabulary import Aligned, Vocabulary

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
PIECE = 1 << 24
"""Elements that one thread takes at a time where a tensor can be divided."""


@dataclass(frozen=True)
class Target:
    """One tensor of the result."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stack: Stack
    values: Values
    copied: Checkpoint | None = None
    """Not computed (integers, flags): the tensor of this model."""

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)


class Merge:
    """A recipe, checked against its models."""

    def __init__(
        self,
        recipe: Recipe,
        models: Mapping[ModelRef, Model] | None = None,
        *,
        allow_nan: bool = False,
        vocabulary: Vocabulary | None = None,
        device: str | None = None,
    ) -> None:
        """`models`: those already open. `device`: torch's name of one; None: the compiled kernels.

        Raises `RecipeError` and `CheckpointError`."""
        self.recipe = recipe
        self.allow_nan = allow_nan
        self.backend: Backend = Processor() if device is None else TorchDevice(device)
        if device is not None and not recipe.rule.device:
            able = ", ".join(method.name for method in METHODS if method.device)
            raise RecipeError(f"{recipe.method} is computed on the CPU only; on a device of torch's: {able}")
        self.models = {ref: (models or {}).get(ref) or open_model(ref) for ref in recipe.models}
        self.template: Checkpoint = self.models[recipe.models[0]][0]
        """The model whose config, tokenizer and types the result has."""
        if vocabulary is None and recipe.tokenizer is not None:
            vocabulary = Vocabulary.build(recipe, {ref: model[0] for ref, model in self.models.items()})
        self.vocabulary = vocabulary
        self.notes = list(recipe.notes)
        self._statistics = ActivationStatistics()
        self.targets: Mapping[str, Target] = dict(self._targets())

    @property
    def names(self) -> tuple[str, ...]:
        """The result's tensors, in the order in which they are written."""
        return tuple(self.targets)

    @property
    def bytes(self) -> int:
        """Bytes of all files that take part."""
        checkpoints = {id(model[0]): model[0].bytes for model in self.models.values()}
        adapters = {id(model[1]): model[1].bytes for model in self.models.values() if model[1]}
        return sum(checkpoints.values()) + sum(adapters.values())

    def pieces(self, name: str) -> list[tuple[int, int]]:
        """Ranges of elements that may be computed apart from one another, on any thread."""
        target = self.targets[name]
        if target.copied is None and self.recipe.rule.elementwise and target.size > PIECE:
            return [(start, min(start + PIECE, target.size)) for start in range(0, target.size, PIECE)]
        return [(0, target.size)]

    def blocks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """(first element, bits) of one tensor, block by block. The array is overwritten by the next block."""
        target = self.targets[name]
        if target.copied is not None:
            whole = target.copied.array(name).reshape(-1)
            yield start, whole[start:stop]
            return
        method = self.recipe.rule
        finish = begin(method, target)
        last = target.size if stop is None else stop
        on_cores = isinstance(self.backend, Processor)
        if on_cores and isinstance(finish, WeightedSum) and can_sum_bits(target.stack, finish.weights, target.dtype):
            yield from summed_bits(target.stack, finish.weights, finish.divisor, start, last)
            return
        for block in target.stack.blocks(method.taus, method.rows, start, last):
            finish(block)
            yield block.start, self.backend.encoded(block.out, target.dtype)

    def write(self, name: str, out: NDArray[Any]) -> None:
        """Compute one tensor into `out` (its shape; bits as stored)."""
        flat = out.reshape(-1)
        for start, bits in self.blocks(name):
            flat[start : start + bits.size] = bits

    def array(self, name: str) -> NDArray[Any]:
        """One tensor, newly allocated: its shape, bits as stored (bfloat16 as uint16). Raises `CheckpointError`."""
        target = self.targets[name]
        out = np.empty(target.shape, np.dtype(STORAGE[target.dtype]))
        self.write(name, out)
        return out

    def __iter__(self) -> Iterator[tuple[str, NDArray[Any]]]:
        return ((name, self.array(name)) for name in self.targets)

    @cached_property
    def layers(self) -> list[tuple[Slice, int, float]]:
        """For each layer of the result: its slice, its number in there, and how deep it lies in it (0 to 1)."""
        found = []
        for part in self.recipe.slices:
            first = part.sources[0]
            count = self._count(first)
            for source in part.sources:
                self._check_range(source, count)
            found += [(part, index, index / (count - 1) if count > 1 else 1.0) for index in range(count)]
        return found

    def _count(self, source: Source) -> int:
        if source.layers is not None:
            return source.layers[1] - source.layers[0]
        return layer_count(self.models[source.model][0])

    def _check_range(self, source: Source, count: int) -> None:
        held = layer_count(self.models[source.model][0])
        if source.layers is not None and source.layers[1] > held:
            raise RecipeError(f"layer_range {list(source.layers)} of {source.model}: it has {held} layers")
        if source.layers is None and held != count:
            raise CheckpointError(f"{source.model} has {held} layers, {self.recipe.slices[0].sources[0].model} {count}")

    # Planning ---------------------------------------------------------------------------------------------------

    def _targets(self) -> Iterator[tuple[str, Target]]:
        names = self._names()
        outer = [name for name in names if LayerName.of(name) is None]
        inner: dict[int, list[LayerName]] = {}
        for name in names:
            layer = LayerName.of(name)
            if layer is not None:
                inner.setdefault(layer.number, []).append(layer)
        for name in (name for name in outer if outer_order(name) == 0):
            yield name, self._target(name, self.recipe.slices[0], None, 0.0)
        kinds = list(dict.fromkeys(layer.numbered(0) for layers in inner.values() for layer in layers))
        for number, (part, index, depth) in enumerate(self.layers) if inner else ():
            for kind in kinds:
                layer = LayerName.of(kind)
                assert layer is not None
                if self._held(layer, part.sources[0], index):
                    name = layer.numbered(number)
                    yield name, self._target(name, part, (layer, index), depth)
        for name in (name for name in outer if outer_order(name) == 1):
            yield name, self._target(name, self.recipe.slices[-1], None, 0.0)

    def _names(self) -> list[str]:
        """The tensors of the first model, and an output layer if any model has one of its own."""
        names = [name for name in self.template.tensors if not self.template.is_scale(name)]
        heads = {ref: model[0] for ref, model in self.models.items() if model[0].own_head}
        if not self.template.own_head:
            names = [name for name in names if name != HEAD]
            if heads and self._takes_part(heads):
                names.append(HEAD)
        kinds = {layer.numbered(0) for layer in map(LayerName.of, names) if layer}
        for ref, (checkpoint, _) in self.models.items():
            for name in checkpoint.tensors:
                layer = LayerName.of(name)
                known = name in self.template.tensors or (layer is not None and layer.numbered(0) in kinds)
                if not known and name != HEAD and not checkpoint.is_scale(name) and not name.endswith(BUFFERS):
                    raise CheckpointError(f"{ref}: tensor {name!r} is unknown to {self.template.folder}")
        return [name for name in names if not name.endswith(BUFFERS)]

    def _takes_part(self, heads: Mapping[ModelRef, Checkpoint]) -> bool:
        return any(source.model in heads for part in self.recipe.slices for source in part.sources)

    def _held(self, layer: LayerName, source: Source, index: int) -> bool:
        number = (source.layers[0] if source.layers else 0) + index
        return layer.numbered(number) in self.models[source.model][0].tensors

    def _target(self, name: str, part: Slice, layer: tuple[LayerName, int] | None, depth: float) -> Target:
        method = self.recipe.rule
        base = part.base or self.recipe.base
        apart = base is not None and method.base in ("required", "optional")
        sources = [source for source in part.sources if not (apart and source.model == base)]
        if method.base == "source" and base and all(source.model != base for source in sources):
            sources.append(Source(base))
        inputs = [_input(name, source, layer) for source in sources]
        first = self._found(inputs[0], sources[0].model)
        if first.dtype not in FLOATS:
            return self._copied(name, inputs[0], first, sources[0].model)
        shapes: dict[ModelRef, TensorInfo] = {
            source.model: self._found(each, source.model) for source, each in zip(sources, inputs, strict=True)
        }
        slabs = [self._slab(each, source.model) for source, each in zip(sources, inputs, strict=True)]
        base_slab = None
        if apart and base is not None:
            own = _input(name, _base_source(base, part), layer)
            shapes[base] = self._found(own, base)
            base_slab = self._slab(own, base)
        shape = self._same_shape(name, shapes)
        values = _values(method, self.recipe, part, sources, name, inputs, depth)
        work = np.dtype(np.float64 if any(info.dtype == "F64" for info in shapes.values()) else np.float32)
        stack = Stack(name, shape, tuple(slabs), base_slab, work, self.backend, self.recipe.seed)
        if "statistics" in values.each:
            given = zip(values.each["statistics"], inputs, strict=True)
            stack = replace(stack, statistics=tuple(self._statistics(path, each) for path, each in given))
        dtype = self.recipe.dtype or self._stored(name, first)
        return Target(name, dtype, shape, stack, values)

    def _stored(self, name: str, first: TensorInfo) -> str:
        """The type of the result where the recipe does not say: the first model's; 8 bits are widened."""
        held = self.template.tensors.get(name, first).dtype
        return held if held in ("F64", "F32", "F16", "BF16") else "BF16"

    def _copied(self, name: str, own: str, info: TensorInfo, ref: ModelRef) -> Target:
        stack = Stack(name, info.shape, (), None, np.dtype(np.float32), self.backend)
        checkpoint = self.models[ref][0]
        if own != name:
            raise CheckpointError(f"{info.file}: tensor {own!r} is {info.dtype}: cannot be moved to another layer")
        return Target(name, info.dtype, info.shape, stack, Values({}, {}), checkpoint)

    def _found(self, name: str, ref: ModelRef) -> TensorInfo:
        checkpoint = self.models[ref][0]
        info = checkpoint.tensors.get(checkpoint.head_name if name == HEAD else name)
        if info is None:
            raise CheckpointError(f"{checkpoint.folder}: tensor {name!r} is missing ({self.template.folder} has it)")
        return info

    def _slab(self, name: str, ref: ModelRef) -> Slab:
        if self.vocabulary is None or not self.vocabulary.concerns(name):
            return self._own(name, ref)
        slabs = {other: self._own(name, other) for other in self.models}
        return Aligned(slabs, ref, math.prod(self._found(name, ref).shape[1:]), self.vocabulary)

    def _own(self, name: str, ref: ModelRef) -> Slab:
        checkpoint, adapter = self.models[ref]
        self._found(name, ref)
        return slab_of(checkpoint, checkpoint.head_name if name == HEAD else name, adapter, self.allow_nan)

    def _same_shape(self, name: str, shapes: Mapping[ModelRef, TensorInfo]) -> tuple[int, ...]:
        found = {ref: info.shape for ref, info in shapes.items()}
        if self.vocabulary is not None and self.vocabulary.concerns(name):
            found = {ref: (self.vocabulary.size, *shape[1:]) for ref, shape in found.items()}
        first, shape = next(iter(found.items()))
        for ref, other in found.items():
            if other != shape:
                hint = ""
                if other[1:] == shape[1:] and self.vocabulary is None:
                    hint = "; vocabularies differ? `tokenizer_source: union` (or base) aligns them"
                raise CheckpointError(
                    f"tensor {name!r} has shape {list(other)} in {ref}, {list(shape)} in {first}{hint}"
                )
        return shape


HEAD = "lm_head.weight"
BUFFERS = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias")
"""Constants that old checkpoints carry and no loader wants."""


def begin(method: MergeMethod, target: Target) -> FinishBlock:
    """The method's `begin` for one tensor. Raises `RecipeError` or `CheckpointError` for numbers it cannot merge."""
    return method.begin(target.stack, target.values)


def _input(name: str, source: Source, layer: tuple[LayerName, int] | None) -> str:
    if layer is None:
        return name
    return layer[0].numbered((source.layers[0] if source.layers else 0) + layer[1])


def _base_source(base: ModelRef, part: Slice) -> Source:
    """The base as the slice lists it; else its layers are those of the slice's first source."""
    listed = [source for source in part.sources if source.model == base]
    return listed[0] if listed else Source(base, layers=part.sources[0].layers)


def _values(
    method: MergeMethod, recipe: Recipe, part: Slice, sources: list[Source], name: str, inputs: list[str], depth: float
) -> Values:
    shared: dict[str, Any] = {}
    each: dict[str, tuple[Any, ...]] = {}
    for parameter in method.parameters:
        if not parameter.each:
            given = _lookup((part.parameters, recipe.parameters), parameter.name, name, depth)
            shared[parameter.name] = _checked(method, parameter, given, None, name)
            continue
        found = []
        for source, own in zip(sources, inputs, strict=True):
            scopes = (source.parameters, part.parameters, recipe.parameters)
            given = _lookup(scopes, parameter.name, own, depth)
            found.append(_checked(method, parameter, given, source.model, name))
        each[parameter.name] = tuple(found)
    return Values(shared, each)


def _lookup(scopes: tuple[Settings, ...], parameter: str, name: str, depth: float) -> Any:
    for scope in scopes:
        if parameter in scope:
            found = value(scope[parameter], name, depth)
            if found is not None:
                return found
    return None


def _checked(method: MergeMethod, parameter: Any, given: Any, model: ModelRef | None, name: str) -> Any:
    where = f"{method.name}: tensor {name!r}" + (f" of {model}" if model else "")
    if given is not None:
        return parameter.checked(given, where)
    if parameter.default is REQUIRED:
        raise RecipeError(f"{where}: the parameter {parameter.name} is missing")
    return parameter.default
