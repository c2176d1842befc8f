"""Read `pytorch_model.bin` through torch's weights-only loader, where the user has allowed it.

The loader unpickles tensors and containers alone and calls nothing that a file names. It is younger than the format of
safetensors and has had holes (CVE-2025-32434, closed in torch 2.6): a file from a stranger is better converted by the
hub. Files are memory-mapped; old ones (before torch 1.6) cannot be, and are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merging.checkpoint import STORAGE, Checkpoint, CheckpointContent, CheckpointError, TensorInfo, json_object

SINGLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
MAX_TENSORS = 1_000_000


def pickled_weights(folder: Path) -> tuple[Path, ...]:
    """The folder's pickled weights, if it has no others. Raises `CheckpointError` for an index that names other
    files."""
    if any((folder / name).exists() for name in ("model.safetensors", "model.safetensors.index.json")):
        return ()
    if (folder / INDEX).exists():
        try:
            names = set(json_object(folder / INDEX).get("weight_map", {}).values())
        except (AttributeError, TypeError):
            names = set()
        if not names or not all(
            isinstance(name, str) and Path(name).name == name and name.endswith(".bin") for name in names
        ):
            raise CheckpointError(f"{folder / INDEX}: weight_map must name .bin files of this folder")
        return tuple(folder / name for name in sorted(names))
    return (folder / SINGLE,) if (folder / SINGLE).exists() else ()


class PickledCheckpoint(Checkpoint):
    """A folder with `config.json` and `pytorch_model.bin` (or several files and their index)."""

    def __init__(self, folder: Path) -> None:
        """Raises `CheckpointError`: no pickle of tensors alone, another format, or torch is not there."""
        folder = Path(folder)
        config, files = json_object(folder / "config.json"), pickled_weights(folder)
        self._arrays: dict[str, NDArray[Any]] = {}
        infos: dict[str, TensorInfo] = {}
        for file in files:
            found, arrays = pickled_tensors(file)
            for name in found.keys() & infos.keys():
                raise CheckpointError(f"{file}: tensor {name!r} is in {infos[name].file.name} too")
            infos |= found
            self._arrays |= arrays
        if not infos:
            raise CheckpointError(f"{folder}: no tensors")
        super().__init__(folder, CheckpointContent.of(config, files, infos))

    def read_into(self, name: str, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (elements,) with the tensor's bits from element `start` on."""
        out[...] = self._arrays[name].reshape(-1)[start : start + out.size].reshape(out.shape)

    def array(self, name: str) -> NDArray[Any]:
        """The tensor of this name, in its own shape."""
        return self._arrays[name]


def pickled_tensors(file: Path) -> tuple[dict[str, TensorInfo], dict[str, NDArray[Any]]]:
    """The tensors of a pickle, by name, and their bits, each in its own shape. Raises `CheckpointError`."""
    infos, arrays = {}, {}
    for name, tensor in _tensors(file).items():
        kind, array = _array(file, name, tensor)
        infos[name] = TensorInfo(name, kind, tuple(array.shape), file, 0, array.nbytes)
        arrays[name] = array
    return infos, arrays


def _tensors(file: Path) -> dict[str, Any]:
    try:
        import torch
    except ImportError:
        raise CheckpointError(f"{file}: pickled weights are read with torch, which is not installed") from None
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{file}: not read by torch's weights-only loader: {type(error).__name__}: {reason}"
        ) from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or len(found) > MAX_TENSORS:
        raise CheckpointError(f"{file}: no dictionary of tensors")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise CheckpointError(f"{file}: entry {str(name)[:80]!r} is no plain tensor")
    return found


def _array(file: Path, name: str, tensor: Any) -> tuple[str, NDArray[Any]]:
    import torch

    kinds = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "bool": "BOOL"}
    kinds |= {f"float{bits}": f"F{bits}" for bits in (16, 32, 64)}
    kinds |= {f"{word}int{bits}": f"{word.upper() or 'I'}{bits}" for word in ("", "u") for bits in (8, 16, 32, 64)}
    kind = kinds.get(str(tensor.dtype).removeprefix("torch."))
    if kind is None or kind not in STORAGE:
        raise CheckpointError(f"{file}: tensor {name!r} is {tensor.dtype}")
    tensor = tensor.detach().contiguous()
    if kind == "BF16":
        tensor = tensor.view(torch.int16)
    elif kind.startswith("F8"):
        tensor = tensor.view(torch.uint8)
    return kind, tensor.numpy().view(np.dtype(STORAGE[kind]))
