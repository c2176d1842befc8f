"""A quantised or adapted checkpoint seen as the numbers that it stands for, for those who compare weights."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointContent, TensorInfo
from merging.packed import Unpacker
from merging.source_model import SourceModel, Weight
from merging.stack import Slab


class DecodedCheckpoint(Checkpoint):
    """`tensors` are float32; they are decoded, and changed by an adapter, when they are read."""

    def __init__(self, checkpoint: Checkpoint, adapter: Adapter | None = None) -> None:
        """`folder` is the adapter's where there is one. Raises `CheckpointError` naming what cannot be decoded."""
        model = SourceModel.of(str(checkpoint.folder), checkpoint, adapter)
        config = {key: value for key, value in checkpoint.config.items() if key != "quantization_config"}
        self._weights: Mapping[str, Weight] = {model.names[name]: weight for name, weight in model.weights.items()}
        infos, first = {}, next(iter(checkpoint.tensors.values()))
        for name, weight in self._weights.items():
            # An output layer that an adapter parts from its embedding is stored nowhere.
            held = checkpoint.tensors.get(weight.stored[0], first)
            infos[name] = TensorInfo(name, "F32", weight.shape, held.file, held.start, held.stop)
        content = CheckpointContent(config, checkpoint.files, MappingProxyType(infos), checkpoint.tied)
        super().__init__(adapter.folder if adapter else checkpoint.folder, content)
        self._held = threading.local()

    def read_into(self, name: str, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (elements,), float32, with the tensor's numbers from element `start` on."""
        flat = out.reshape(-1)
        self._slab(name).read(start, start + flat.size, flat)

    def _slab(self, name: str) -> Slab:
        """The thread's last one is kept: what it found out about the tensor (lengths of rows) serves all blocks."""
        held: tuple[str, Slab] | None = getattr(self._held, "slab", None)
        if held is None or held[0] != name:
            held = self._held.slab = name, self._weights[name].slab(True)
        return held[1]

    def array(self, name: str) -> NDArray[Any]:
        """The whole tensor, decoded, in its own shape."""
        out = np.empty(self.tensors[name].shape, np.float32)
        self.read_into(name, 0, out)
        return out


def decoded(checkpoint: Checkpoint) -> Checkpoint:
    """The same where its tensors are plain numbers. Raises `CheckpointError` naming what cannot be decoded."""
    packed = Unpacker(checkpoint).packed
    eight_bit = any(info.dtype.startswith("F8") for info in checkpoint.tensors.values())
    return DecodedCheckpoint(checkpoint) if packed or eight_bit else checkpoint
