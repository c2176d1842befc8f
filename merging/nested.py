"""The result of one recipe as a source of another, without writing it.

A tensor of the inner merge is computed whole when its first block is asked for, rounded to the type it would be written
in, and held until a few others have been asked for: the bits are those of writing the inner merge first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import Work, widen
from merging.checkpoint import FLOATS, CheckpointError
from merging.plan import Merge
from merging.recipe import ModelRef, Recipe
from merging.result_config import result_config
from merging.source_model import SourceModel, Weight
from merging.stack import Slab
from merging.stream import Model
from merging.towers import towers_of

MAX_HELD = 8
"""Tensors of one inner merge that are held at a time."""


class _Held:
    """Tensors of a merge, computed once each while they are in use."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._lock = threading.Lock()
        self._arrays: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}

    def array(self, name: str) -> NDArray[Any]:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            with self._lock:
                if name in self._arrays:
                    self._arrays.move_to_end(name)
                    return self._arrays[name]
            found = self._computed(name)
            with self._lock:
                self._arrays[name] = found
                while len(self._arrays) > MAX_HELD:
                    self._arrays.popitem(last=False)
            return found

    def _computed(self, name: str) -> NDArray[Any]:
        """On a thread of its own: the buffers of this one hold the outer merge's block."""
        results: list[NDArray[Any]] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(self._merge.array(name))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=work, name="inner-merge")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]


@dataclass(frozen=True)
class NestedSlab:
    """One tensor of an inner merge."""

    held: _Held
    name: str
    dtype: str
    allow_nan: bool

    @property
    def label(self) -> str:
        """The tensor, for errors."""
        return f"tensor {self.name!r} of an inner merge"

    def read(self, start: int, stop: int, out: Work) -> None:
        """Write the values [start, stop) of the flattened tensor to `out`. Raises `CheckpointError` for values that
        are no numbers."""
        out[:] = widen(self.held.array(self.name).reshape(-1)[start:stop], self.dtype, out.dtype)
        if not self.allow_nan and not np.isfinite(out).all():
            raise CheckpointError(f"{self.label}: not all finite numbers (--allow-nan merges them all the same)")


def planned(
    recipe: Recipe,
    models: Mapping[ModelRef, Model] | None = None,
    *,
    allow_nan: bool = False,
    allow_bin: bool = False,
    device: str | None = None,
) -> Merge:
    """The recipe over its models, those that other recipes of its file make among them. Raises what `Merge` raises."""
    inner = {
        ref: as_source(planned(other, models, allow_nan=allow_nan, allow_bin=allow_bin))
        for ref, other in recipe.inner.items()
    }
    return Merge(recipe, models, allow_nan=allow_nan, allow_bin=allow_bin, inner=inner, device=device)


def as_source(merge: Merge) -> SourceModel:
    """The result of a merge as a model. Raises `RecipeError` where its configuration cannot be written."""
    held = _Held(merge)
    weights: dict[str, Weight] = {}
    names: dict[str, str] = {}
    for place in merge.layout.places:
        target = merge.targets[place.stored]
        weights[place.name] = _weight(place.name, place.stored, target.dtype, target.shape, held)
        names[place.name] = place.stored
    config = result_config(merge)
    return SourceModel(
        merge.recipe.name or "inner merge",
        merge.template.folder,
        config,
        weights,
        names,
        towers_of(weights, config),
        tuple(merge.left_out),
        notes=tuple(merge.notes),
        tokenizer=merge.vocabulary.tokenizer if merge.vocabulary else merge.template.tokenizer,
    )


def _weight(name: str, stored: str, dtype: str, shape: tuple[int, ...], held: _Held) -> Weight:
    def slab(allow_nan: bool) -> Slab:
        return NestedSlab(held, stored, dtype, allow_nan)

    bits = None if dtype in FLOATS else lambda: held.array(stored)
    return Weight(name, dtype, shape, (stored,), slab, bits)
