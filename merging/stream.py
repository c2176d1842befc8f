"""Compute a model's tensors from their sources on the fly, a block of rows at a time.

Every model here is one sum: theta = sum_i c_i * checkpoint_i + sum_k d_k * B_k @ A_k. A checkpoint is one term,
an adapter over a base two, a linear merge or task arithmetic as many as it has sources; sources that share a
base read it once. Arithmetic is fp32, with one rounding to the type of the destination.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 17
"""Elements computed at a time: 512 KiB of fp32, so that the intermediate results stay in the core's cache."""

Model = tuple[Checkpoint, Adapter | None]
"""A source of a sum: a checkpoint, with its adapter if it has one."""


@dataclass(frozen=True)
class Blend:
    """A model as a sum of dense and low-rank terms, each with its coefficient."""

    dense: tuple[tuple[float, Checkpoint], ...]
    low_rank: tuple[tuple[float, Adapter], ...] = ()

    def __post_init__(self) -> None:
        """Raises `CheckpointError` unless all dense terms have the same tensors."""
        first = self.dense[0][1]
        for _, other in self.dense[1:]:
            compare(first, other)
        for _, adapter in self.low_rank:
            if adapter.head is not None:
                raise CheckpointError(
                    f"{adapter.file}: output layer and embedding become two tensors, which {first.folder} ties: merge "
                    "the adapter into its base with `collegium merge`"
                )
            for name, change in adapter.changes.items():
                if change.whole is not None and change.whole.shape != first.tensors[name].shape:
                    raise CheckpointError(
                        f"{adapter.file}: {name!r} becomes {list(change.whole.shape)} instead of "
                        f"{list(first.tensors[name].shape)}: merge the adapter into its base with `collegium merge`"
                    )

    @property
    def checkpoint(self) -> Checkpoint:
        """The one whose names, shapes and types the sum has."""
        return self.dense[0][1]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors."""
        return tuple(self.checkpoint.tensors)

    @property
    def bytes(self) -> int:
        """Bytes of all files that take part."""
        return sum(term.bytes for _, term in self.dense) + sum(term.bytes for _, term in self.low_rank)

    def origin(self, name: str) -> tuple[Any, ...]:
        """What tensor `name` is made from (hashable): equal origins make equal tensors."""
        return self.dense, tuple(term for term in self.low_rank if name in term[1].changes)

    def differing(self, other: Blend) -> set[str]:
        """The tensors in which the two models (of one shape) may differ. Looks at the bytes where it must."""
        return {name for name in self.names if self.origin(name) != other.origin(name) and not self._same(other, name)}

    def _same(self, other: Blend, name: str) -> bool:
        """True if both take the tensor unchanged from files that hold the same bytes."""
        mine, theirs = self._plain(name), other._plain(name)
        if mine is None or theirs is None or mine.tensors[name].dtype != theirs.tensors[name].dtype:
            return False
        left, right = (source.array(name).reshape(-1).view(np.uint8) for source in (mine, theirs))
        # Different tensors nearly always differ at once: a short first block makes that cheap.
        edges = [0, 4096, *range(1 << 20, left.size, 1 << 20), left.size]
        return all(bool(np.array_equal(left[a:b], right[a:b])) for a, b in pairwise(edges))

    def _plain(self, name: str) -> Checkpoint | None:
        if len(self.dense) > 1 or np.float32(self.dense[0][0]) != 1:
            return None
        return None if any(name in adapter.changes for _, adapter in self.low_rank) else self.checkpoint

    def write(self, name: str, out: torch.Tensor, part: tuple[slice, ...] | None = None) -> None:
        """Compute tensor `name` into `out` (same shape; any float type, any device). `part`: what of the tensor is
        wanted, where that is not all."""
        import torch

        plain = self._plain(name)
        if plain is not None:
            found = _torch(plain, name)
            out.copy_(found if part is None else found[part])
            return
        if part is not None:
            out.copy_(self.tensor(name)[part])
            return
        if any(name in adapter.changes and not adapter.adds_product(name) for _, adapter in self.low_rank):
            self._write_changed(name, out)
            return
        dense = [(scale, _matrix(_torch(checkpoint, name))) for scale, checkpoint in self.dense]
        added = []
        for scale, adapter in self.low_rank:
            if name in adapter.pairs:
                down, up, strength = adapter.arrays(name)
                types = adapter.pairs[name].down.dtype, adapter.pairs[name].up.dtype
                added.append((scale * strength, _tensor(down, types[0]).float(), _tensor(up, types[1]).float()))
        target = _matrix(out)
        rows, columns = target.shape
        step = max(1, BLOCK // max(1, columns))
        buffer = torch.empty(min(step, rows), columns, dtype=torch.float32)
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            block = buffer[: stop - start]
            block.copy_(dense[0][1][start:stop])
            if np.float32(dense[0][0]) != 1:
                block.mul_(dense[0][0])
            for scale, matrix in dense[1:]:
                block.add_(matrix[start:stop].float(), alpha=scale)
            for scale, right, left in added:
                block.addmm_(left[start:stop], right, alpha=scale)
            target[start:stop].copy_(block)

    def _write_changed(self, name: str, out: torch.Tensor) -> None:
        """The same where an adapter does more than add a product: what it changes is found over its own base."""
        import torch

        from merging.adapted import Adapted
        from merging.slab import Plain

        total = np.zeros(out.numel(), np.float32)
        values, base = np.empty_like(total), np.empty_like(total)
        alone = len(self.dense) == 1 and np.float32(self.dense[0][0]) == 1
        for scale, checkpoint in self.dense:
            Plain(checkpoint, name, True).read(0, total.size, base)
            total += base * np.float32(scale)
        for scale, adapter in self.low_rank:
            if name not in adapter.changes:
                continue
            inner = Plain(adapter.base, name, True)
            Adapted(inner, adapter, name, adapter.base.tensors[name].shape, True).read(0, total.size, values)
            if alone and len(self.low_rank) == 1 and scale == 1:
                total = values
                continue
            inner.read(0, total.size, base)
            total += (values - base) * np.float32(scale)
        out.copy_(torch.from_numpy(total).reshape(out.shape))

    def tensor(self, name: str) -> torch.Tensor:
        """Tensor `name`, newly allocated, in the type it is stored in."""
        import torch

        info = self.checkpoint.tensors[name]
        out = torch.empty(info.shape, dtype=torch_type(info.dtype))
        self.write(name, out)
        return out

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, self.tensor(name)) for name in self.names)


def plain(model: Model) -> Blend:
    """The model itself: a checkpoint, with its adapter added if it has one."""
    return _sum([(1.0, model)])


def linear(models: Sequence[Model], weights: Sequence[float]) -> Blend:
    """sum w_i * theta_i / sum w: model soups, https://arxiv.org/abs/2203.05482. Raises `CheckpointError` unless each
    model has a weight and their sum is not zero."""
    total = sum(weights)
    if not models or len(models) != len(weights) or not total:
        raise CheckpointError(f"linear wants a weight for each of {len(models)} models, not {list(weights)}")
    return _sum([(weight / total, model) for weight, model in zip(weights, models, strict=True)])


def compare(wanted: Checkpoint, found: Checkpoint) -> None:
    """Raises `CheckpointError` naming the first tensor that `found` lacks, has too many, or has otherwise."""
    for name, info in wanted.tensors.items():
        other = found.tensors.get(name)
        if other is None:
            raise CheckpointError(f"{found.folder}: tensor {name!r} is missing ({wanted.folder} has it)")
        if other.shape != info.shape:
            raise CheckpointError(
                f"{other.file}: tensor {name!r} has shape {list(other.shape)}, {wanted.folder} {list(info.shape)}"
            )
        if other.dtype != info.dtype:
            raise CheckpointError(f"{other.file}: tensor {name!r} is {other.dtype}, in {wanted.folder} {info.dtype}")
    for name in found.tensors:
        if name not in wanted.tensors:
            raise CheckpointError(f"{found.folder}: tensor {name!r} is unknown to {wanted.folder}")


def torch_type(dtype: str) -> torch.dtype:
    """torch's type for a float type of safetensors. Raises `CheckpointError` for another."""
    import torch

    types = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
    if dtype not in types:
        raise CheckpointError(f"tensors of type {dtype} cannot be computed with")
    return types[dtype]


def _sum(terms: Sequence[tuple[float, Model]]) -> Blend:
    dense: dict[int, tuple[float, Checkpoint]] = {}
    low_rank: dict[int, tuple[float, Adapter]] = {}
    for scale, (checkpoint, adapter) in terms:
        dense[id(checkpoint)] = (dense.get(id(checkpoint), (0.0,))[0] + scale, checkpoint)
        if adapter is not None:
            low_rank[id(adapter)] = (low_rank.get(id(adapter), (0.0,))[0] + scale, adapter)
    kept = tuple(term for term in dense.values() if np.float32(term[0]) != 0)
    return Blend(kept or tuple(dense.values())[:1], tuple(term for term in low_rank.values() if term[0] != 0))


def _torch(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    return _tensor(checkpoint.array(name), checkpoint.tensors[name].dtype)


def _tensor(array: Any, dtype: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(array.view(np.int16) if dtype == "BF16" else array).view(torch_type(dtype))


def _matrix(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(tensor.shape[0], -1) if tensor.dim() > 1 else tensor.reshape(1, -1)
