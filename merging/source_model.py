"""A model as a merge sees it: its weights under common names, whatever they are stored as.

    source = SourceModel.of("./a+./lora", checkpoint, adapter)
    source.weights["layers.0.self_attn.q_proj.weight"].slab(allow_nan=False)

Every stored tensor is part of a weight, or stands in `left_out` with the reason why it is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.adapted import Adapted
from merging.adapter import Adapter, Change
from merging.checkpoint import FLOATS, Checkpoint, CheckpointError, TensorInfo, ties
from merging.eight_bit import EightBit, is_scale, scale_of
from merging.naming import EMBEDDINGS, HEAD, common_names, is_mask, loadable_names, stored_like
from merging.packed import Unpacker
from merging.side_files import ADAPTER_FILES
from merging.slab import Plain
from merging.stack import Slab
from merging.towers import Tower, check_counts, towers_of
from merging.unpack import Unpacked

_UNMERGED = re.compile(r"\.(base_layer\.(weight|bias)|(lora_(A|B|embedding_A|embedding_B)|modules_to_save)(\.|$))")


@dataclass(frozen=True)
class Weight:
    """One tensor: `dtype` is that of its numbers, `stored` the names of the tensors that hold it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stored: tuple[str, ...]
    slab: Callable[[bool], Slab]
    """slab(allow_nan)"""
    bits: Callable[[], NDArray[Any]] | None = None
    """All of it as it is stored: of what is not computed with (integers, flags)."""


@dataclass(frozen=True)
class LeftOut:
    """Tensors of a model that are not in the result, and why."""

    model: str
    names: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"{self.model}: {self.names[0]}{more}: {self.reason}"


@dataclass(frozen=True)
class SourceModel:
    """`weights` by common name. `folder` holds its tokenizer and side files."""

    label: str
    folder: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Weight]
    names: Mapping[str, str]
    """Common name -> the name that loaders know, for all its weights: the stored one without `base_model.model.` (PEFT)
    and its like in front."""
    towers: Mapping[str, Tower]
    left_out: tuple[LeftOut, ...] = ()
    checkpoint: Checkpoint | None = None
    adapter: Adapter | None = None
    notes: tuple[str, ...] = ()
    tokenizer: Any = field(default=None, compare=False)
    """Its tokenizer where that is in no folder (a merge that was not written)."""

    @staticmethod
    def of(label: str, checkpoint: Checkpoint, adapter: Adapter | None) -> SourceModel:
        """Raises `CheckpointError` naming what cannot be decoded or is missing."""
        return _Reader(label, checkpoint, adapter).read()

    @property
    def tied(self) -> bool:
        """config.json says that the output layer is the embedding."""
        return ties(self.config) is True

    @property
    def own_head(self) -> bool:
        """It has an output layer of its own."""
        return HEAD in self.weights

    @cached_property
    def embedding(self) -> str | None:
        """The common name of the matrix with a row for each token."""
        return next((name for name in EMBEDDINGS if name in self.weights), None)

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding; 0 where there is none."""
        return self.weights[self.embedding].shape[0] if self.embedding else 0

    @property
    def architecture(self) -> str:
        """The architecture that config.json names, else its model type."""
        found = self.config.get("architectures")
        return str(found[0]) if isinstance(found, list) and found else str(self.config.get("model_type"))


class _Reader:
    def __init__(self, label: str, checkpoint: Checkpoint, adapter: Adapter | None) -> None:
        self.label, self.checkpoint, self.adapter = label, checkpoint, adapter
        self.unpacker = Unpacker(checkpoint)
        self.left_out: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def read(self) -> SourceModel:
        weights = dict(self._weights())
        for name in self.adapter.changes if self.adapter else ():
            if name not in weights:
                raise CheckpointError(f"{self.label}: the adapter changes {name!r}, which is no weight of its base")
        stored = common_names(weights)
        weights = {common: replace(weights[name], name=common) for common, name in stored.items()}
        self._leave_out(weights, stored)
        self._beside()
        bare = loadable_names(stored.values())
        towers = towers_of(weights, self.checkpoint.config)
        check_counts(towers, self.checkpoint.config, self.label)
        left_out = [LeftOut(self.label, tuple(names), why) for why, names in self.left_out.items()]
        notes = self.notes
        if self.unpacker.packed:
            how = self.unpacker.method or "integers with scales"
            notes.append(f"{self.label}: {len(self.unpacker.packed)} quantised weights ({how}) are decoded and merged")
        elif self.unpacker.method and not any(weight.stored[1:] for weight in weights.values()):
            notes.append(
                f"{self.label}: config.json names a quantisation ({self.unpacker.method[:40]}), but no weight is "
                "quantised: the result has none"
            )
        return SourceModel(
            self.label,
            self.checkpoint.folder,
            self.checkpoint.config,
            weights,
            {common: bare[name] for common, name in stored.items() if common in weights},
            towers,
            tuple(left_out),
            self.checkpoint,
            self.adapter,
            tuple(notes),
        )

    def _weights(self) -> Iterator[tuple[str, Weight]]:
        """By stored name."""
        parts = {part: packed for packed in self.unpacker.packed.values() for part in packed.parts}
        for name, info in self.checkpoint.tensors.items():
            if _UNMERGED.search(name):
                raise CheckpointError(
                    f"{self.label}: tensor {name!r} belongs to an adapter that was never merged into these weights: "
                    "save the adapter apart (`save_pretrained` of PEFT's model), or merge it first (`merge_and_unload`)"
                )
            if name in parts:
                packed = parts[name]
                if name == packed.parts[0]:
                    yield packed.name, self._packed(packed.name)
            elif name in self.unpacker.activations:
                self.left_out.setdefault("a scale of activations: it changes no weight", []).append(name)
            elif not is_scale(self.checkpoint, name):
                yield name, self._plain(name, info)
        if self.adapter is not None and self.adapter.head is not None:
            yield self._parted_head(self.adapter)

    def _packed(self, name: str) -> Weight:
        packed = self.unpacker.packed[name]
        columns = packed.shape[-1]

        def slab(allow_nan: bool) -> Slab:
            label = f"{self.label}: tensor {name!r}"
            return Unpacked(label, columns, packed.rows(), allow_nan)

        return self._weight(name, self.unpacker.dtype, packed.shape, packed.parts, slab)

    def _parted_head(self, adapter: Adapter) -> tuple[str, Weight]:
        """The output layer that the adapter parts from the embedding."""
        names = common_names(self.checkpoint.tensors)
        embedding = next(names[name] for name in EMBEDDINGS if name in names)
        stored = stored_like(HEAD, names)
        found = _Reader(self.label, self.checkpoint, None)._plain(embedding, self.checkpoint.tensors[embedding])
        change = adapter.head or Change()
        shape, slab = found.shape, found.slab
        return stored, replace(
            found,
            stored=(stored,),
            shape=change.whole.shape if change.whole else shape,
            slab=lambda allow: Adapted(slab(True), adapter, HEAD, shape, allow, change),
        )

    def _plain(self, name: str, info: TensorInfo) -> Weight:
        if info.dtype not in FLOATS:
            return Weight(
                name, info.dtype, info.shape, (name,), lambda _: _nothing(name), lambda: self.checkpoint.array(name)
            )
        if info.dtype.startswith("F8"):
            scale = scale_of(self.checkpoint, name)
            parts = (name, scale) if scale else (name,)
            return self._weight(
                name, "BF16", info.shape, parts, lambda allow_nan: EightBit(self.checkpoint, name, allow_nan)
            )
        return self._weight(name, info.dtype, info.shape, (name,), lambda allow: Plain(self.checkpoint, name, allow))

    def _weight(
        self, name: str, dtype: str, shape: tuple[int, ...], parts: tuple[str, ...], slab: Callable[[bool], Slab]
    ) -> Weight:
        adapter = self.adapter
        if adapter is None or name not in adapter.changes:
            return Weight(name, dtype, shape, parts, slab)
        whole = adapter.changes[name].whole
        return Weight(
            name,
            dtype,
            whole.shape if whole else shape,
            parts,
            lambda allow: Adapted(slab(True), adapter, name, shape, allow),
        )

    def _leave_out(self, weights: dict[str, Weight], stored: Mapping[str, str]) -> None:
        """Constants that loaders compute themselves, and an output layer beside a tied embedding."""
        for common in list(weights):
            why = _constant(common, weights[common])
            if why is None and common == HEAD and ties(self.checkpoint.config) and self._has_embedding(weights):
                why = self._tied_head(weights)
            if why:
                del weights[common]
                self.left_out.setdefault(why, []).append(stored[common])

    def _beside(self) -> None:
        """Notes of an adapter: that lies beside whole weights, or that was trained over another base."""
        folder = self.checkpoint.folder
        if (folder / ADAPTER_FILES[0]).is_file() and (self.adapter is None or self.adapter.folder != folder):
            self.notes.append(
                f"{self.label}: there is an adapter beside its weights, which is not added; {folder}+{folder} adds it"
            )
        if self.adapter and (named := self.adapter.other_base(folder, self.label.split("+")[0])):
            self.notes.append(f"{self.label}: the adapter was trained over {named}, as its configuration says")

    def _tied_head(self, weights: Mapping[str, Weight]) -> str | None:
        """An output layer beside a tied embedding: none of its own if it is the same; else loaders use it."""
        embedding = next(weights[name] for name in EMBEDDINGS if name in weights)
        if _same_numbers(weights[HEAD], embedding):
            return "config.json ties the output layer to the embedding, which is the same"
        self.notes.append(
            f"{self.label}: config.json ties the output layer to the embedding, but its {weights[HEAD].stored[0]} has "
            "other numbers: it is merged, and the result is untied"
        )
        return None

    @staticmethod
    def _has_embedding(weights: Mapping[str, Weight]) -> bool:
        return any(name in weights for name in EMBEDDINGS)


def _same_numbers(first: Weight, second: Weight) -> bool:
    """Whether two tensors hold the same; ends at the first block that differs."""
    if first.shape != second.shape:
        return False
    size, block = math.prod(first.shape), 1 << 18
    one, other = first.slab(True), second.slab(True)
    held, there = np.empty(block, np.float32), np.empty(block, np.float32)
    for start in range(0, size, block):
        count = min(block, size - start)
        one.read(start, start + count, held[:count])
        other.read(start, start + count, there[:count])
        if not np.array_equal(held[:count], there[:count]):
            return False
    return True


def _constant(common: str, weight: Weight) -> str | None:
    """Why a tensor is no weight, or None. By name and shape."""
    last = common.rsplit(".", 2)[-2:]
    whole = weight.dtype[0] in "IU"
    if last[-1] == "inv_freq" or last[-1] in ("cos_cached", "sin_cached"):
        return "rotary frequencies: loaders compute them from config.json"
    if is_mask(common, weight.shape):
        return "a causal mask: loaders compute it"
    if last[-1] == "masked_bias" and math.prod(weight.shape) == 1:
        return "the value of masked scores: loaders compute it"
    if last[-1] in ("position_ids", "token_type_ids") and whole:
        return "a count from zero: loaders compute it"
    return None


def _nothing(name: str) -> Slab:
    raise CheckpointError(f"tensor {name!r} is not made of numbers that can be merged")


def work_type(weights: list[Weight]) -> np.dtype[Any]:
    """float64 where a source is, else float32."""
    return np.dtype(np.float64 if any(weight.dtype == "F64" for weight in weights) else np.float32)
