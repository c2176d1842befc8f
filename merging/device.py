"""Merging on one of torch's devices: blocks go there as they are stored, are widened, merged and rounded there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from merging.buffers import scratch
from merging.checkpoint import STORAGE, CheckpointError
from merging.settings import RecipeError
from merging.slab import Plain
from merging.stack import Block, Kernels, Slab, Stack
from merging.stream import torch_type

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 22
"""Elements at a time: with five sources about 130 MB there."""


def chosen(wanted: str) -> str | None:
    """`cpu`: None, the compiled kernels. `cuda` or `cuda:1`: that device. `auto`: CUDA where torch sees it.

    Raises `RecipeError` if the device is not there.
    """
    if wanted == "cpu":
        return None
    if wanted != "auto" and wanted.partition(":")[0] != "cuda":
        raise RecipeError(f"device {wanted[:40]!r}: wants cpu, cuda, cuda:NUMBER or auto")
    try:
        import torch
    except ImportError:
        if wanted == "auto":
            return None
        raise RecipeError(f"device {wanted}: torch is not installed here; without it the CPU merges") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda" if count else None
    number = wanted.partition(":")[2] or "0"
    if not number.isdecimal() or int(number) >= count:
        raise RecipeError(
            f"device {wanted}: torch {torch.__version__} sees {count} CUDA devices here; without it the CPU merges"
        )
    return wanted


@dataclass(frozen=True)
class TorchDevice:
    """The `merging.stack.Backend` of torch tensors on the device `name`."""

    name: str

    @property
    def kernels(self) -> Kernels:
        """torch's operations in place of the compiled kernels."""
        from merging import torch_kernels

        return torch_kernels

    def blocks(
        self, stack: Stack, taus: bool, rows: bool, start: int, stop: int, keep: bool = False
    ) -> Iterator[Block]:
        """Blocks of torch tensors on the device. `rows` and `keep` change nothing here. Raises `CheckpointError` for
        numbers that are not finite, unless they are allowed."""
        import torch

        work = torch.float64 if stack.work == np.float64 else torch.float32
        whole = torch.empty((len(stack.sources) + 1, min(BLOCK, stop - start)), dtype=work, device=self.name)
        out = torch.empty(whole.shape[1], dtype=work, device=self.name)
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            sources, base = whole[:-1, :count], whole[-1, :count]
            for row, slab in zip(whole[:, :count], stack.slabs, strict=False):
                row.copy_(_stored(slab, first, first + count, stack.work))
                if not getattr(slab, "allow_nan", False) and not torch.isfinite(row).all():
                    # Read once more by what says which element it is.
                    slab.read(first, first + count, scratch("broken", count, stack.work))
                    raise CheckpointError(f"{slab.label}: not all finite numbers")
            if taus and stack.base is not None:
                sources.sub_(base)
            yield Block(first, first + count, sources, base, out[:count], whole[:, :count])  # type: ignore[arg-type]

    def encoded(self, values: torch.Tensor, dtype: str) -> NDArray[Any]:
        """Rounded once on the device to the type that is written; as NumPy's bits: (elements,)."""
        import torch

        rounded = values.to(torch_type(dtype))
        if dtype == "BF16":
            return rounded.view(torch.int16).cpu().numpy().view("<u2")
        found: NDArray[Any] = rounded.cpu().numpy()
        return found


def _stored(slab: Slab, start: int, stop: int, work: np.dtype[Any]) -> torch.Tensor:
    """The numbers on the host: as they are stored where that is all, else widened."""
    import torch

    if isinstance(slab, Plain) and slab.as_stored in ("BF16", "F16", "F32"):
        bits = scratch("stored", stop - start, STORAGE[slab.as_stored])
        slab.checkpoint.read_into(slab.name, start, bits)
        signed = bits.view(np.int16) if bits.itemsize == 2 else bits.view(np.int32)
        return torch.from_numpy(signed).view(torch_type(slab.as_stored))
    values = scratch("widened", stop - start, work)
    slab.read(start, stop, values)
    return torch.from_numpy(values)
