"""A recipe as something an engine can load: the same bits as the merge written to disk, without the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from merging.checkpoint import STORAGE, CheckpointError
from merging.plan import Merge
from merging.stream import Blend, torch_type

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LiveMerge(Blend):
    """A merge in place of a sum. Two of them have equal tensors if they are the same object's."""

    merge: Merge | None = None

    @staticmethod
    def of(merge: Merge) -> LiveMerge:
        """Raises `CheckpointError` unless the result has its first model's tensors, shapes and types."""
        template = merge.template.checkpoint
        if template is None:
            raise CheckpointError(
                f"{merge.recipe.method}: a merge of merges is written to disk and loaded, not swapped in"
            )
        for name, info in template.tensors.items():
            target = merge.targets.get(name)
            if target is None or (target.shape, target.dtype) != (info.shape, info.dtype):
                found = f"{target.dtype} {list(target.shape)}" if target else "missing"
                raise CheckpointError(
                    f"{merge.recipe.method}: tensor {name!r} of the merge is {found}, {template.folder} has "
                    f"{info.dtype} {list(info.shape)}: such a merge is written to disk and loaded, not swapped in"
                )
        for name in merge.targets:
            if name not in template.tensors:
                raise CheckpointError(f"{merge.recipe.method}: {template.folder} has no tensor {name!r}")
        return LiveMerge(((1.0, template),), (), merge)

    @property
    def made(self) -> Merge:
        """The merge that makes the tensors."""
        assert self.merge is not None
        return self.merge

    @property
    def bytes(self) -> int:
        """Bytes of all files that take part."""
        return self.made.bytes

    def origin(self, name: str) -> tuple[Any, ...]:
        """All tensors come from the one merge: equal only to those of the same merge."""
        return (id(self.merge), self.merge)

    def _plain(self, name: str) -> None:
        return None

    def write(self, name: str, out: torch.Tensor, part: tuple[slice, ...] | None = None) -> None:
        """As `Blend.write`, rounded to the type it has on disk first."""
        import torch

        if part is not None:
            out.copy_(self.tensor(name)[part])
            return

        info = self.checkpoint.tensors[name]
        kind = torch_type(info.dtype)
        direct = out.device.type == "cpu" and out.dtype == kind and out.is_contiguous()
        whole = out if direct else torch.empty(info.shape, dtype=kind)
        if info.dtype == "BF16":
            bits = whole.view(torch.int16).numpy().view(np.dtype(STORAGE["BF16"]))
        else:
            bits = whole.numpy()
        self.made.write(name, bits)
        if not direct:
            out.copy_(whole)
