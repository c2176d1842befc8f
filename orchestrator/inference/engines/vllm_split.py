"""Which parts of a checkpoint's tensors a live tensor of vLLM is made of, on one device of however many.

A model over several devices is cut by vLLM's parallel layers: matrices by rows (queries, keys, values, gates) or by
columns (outputs), the vocabulary by rows. What is derived here is a guess from the layer's own numbers;
`vllm_weights.LiveWeights` believes it only once the live tensor was seen to be just that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from merging.checkpoint import TensorInfo


class UnknownLayout(ValueError):
    """A model whose live weights this project does not know how to write."""


@dataclass(frozen=True, slots=True)
class TensorPart:
    """A rectangle of a checkpoint's tensor; None: all rows, all columns."""

    info: TensorInfo
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rectangle."""
        shape = list(self.info.shape)
        for axis, bounds in enumerate((self.rows, self.columns)):
            if bounds is not None:
                shape[axis] = bounds[1] - bounds[0]
        return tuple(shape)

    @property
    def index(self) -> tuple[slice, ...] | None:
        """What selects the rectangle; None: it is the whole tensor."""
        if self.rows is None and self.columns is None:
            return None
        bounds = (self.rows, self.columns)
        return tuple(slice(None) if one is None else slice(*one) for one in bounds[: len(self.info.shape)])


def devices(layer: Any) -> int:
    """Number of devices that vLLM splits the layer over."""
    return int(getattr(layer, "tp_size", 1))


def parts_of(layer: Any, attribute: str, tensors: Sequence[TensorInfo]) -> tuple[TensorPart, ...]:
    """What this device's `layer.attribute` holds of the checkpoint's tensors, in order. Raises `UnknownLayout` for a
    layer that is split in a way not known here."""
    if devices(layer) == 1 or not tensors:
        return tuple(TensorPart(info) for info in tensors)
    kinds = {kind.__name__ for kind in type(layer).__mro__}
    if "VocabParallelEmbedding" in kinds:
        held = layer.shard_indices
        return (TensorPart(tensors[0], rows=(held.org_vocab_start_index, held.org_vocab_end_index)),)
    if "ReplicatedLinear" in kinds or ("RowParallelLinear" in kinds and attribute != "weight"):
        return tuple(TensorPart(info) for info in tensors)
    if "RowParallelLinear" in kinds and len(tensors) == 1 and len(tensors[0].shape) == 2:
        width = tensors[0].shape[1] // devices(layer)
        return (TensorPart(tensors[0], columns=(layer.tp_rank * width, (layer.tp_rank + 1) * width)),)
    if "ColumnParallelLinear" in kinds:
        return _rows(layer, tensors)
    raise UnknownLayout(f"{type(layer).__name__}: split over {devices(layer)} devices in a way not known here")


def _rows(layer: Any, tensors: Sequence[TensorInfo]) -> tuple[TensorPart, ...]:
    """Of each matrix that the layer joins its own rows; the file holds the matrices apart or joined."""
    sizes, own = _joined(layer)
    if len(tensors) == 1:
        first = [0, *accumulate(sizes)]
        joined = list(zip([tensors[0]] * len(sizes), first[:-1], own, strict=True))
    elif len(tensors) == len(sizes):
        joined = list(zip(tensors, [0] * len(sizes), own, strict=True))
    else:
        raise UnknownLayout(f"{type(layer).__name__}: {len(tensors)} tensors for {len(sizes)} matrices")
    return tuple(TensorPart(info, rows=(start + low, start + high)) for info, start, (low, high) in joined)


def _joined(layer: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """Rows of each matrix that the layer joins, and which of them are this device's."""
    rank = int(layer.tp_rank)
    if hasattr(layer, "num_kv_head_replicas"):
        whole = [layer.total_num_heads, layer.total_num_kv_heads, layer.total_num_kv_heads]
        heads = [layer.num_heads, layer.num_kv_heads, layer.num_kv_heads]
        widths = [layer.head_size, layer.head_size, layer.v_head_size]
        # Fewer key and value heads than devices: several devices hold the same one.
        ranks = [rank, *[rank // layer.num_kv_head_replicas] * 2]
        sizes = [count * width for count, width in zip(heads, widths, strict=True)]
        own = [(place * size, (place + 1) * size) for place, size in zip(ranks, sizes, strict=True)]
        return [count * width for count, width in zip(whole, widths, strict=True)], own
    sizes = [int(size) for size in getattr(layer, "output_sizes", None) or [layer.output_size]]
    shares = [size // devices(layer) for size in sizes]
    return sizes, [(rank * share, (rank + 1) * share) for share in shares]
