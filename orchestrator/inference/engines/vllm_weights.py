"""Writing another model's tensors into a running vLLM model.

vLLM fuses tensors (q, k and v; gate and up) and, on a CPU, repacks each fused matrix for oneDNN or AMX and throws
the plain one away: what it computes from is then a closure, `layer.cpu_linear`. So a matrix is computed into a
scratch buffer and handed to the layer's own `process_weights_after_loading`, as at start: one pass over the
memory, and the same bits as in a fresh engine. Elsewhere the live tensor is overwritten.

Nothing is believed about a layout that was not seen to hold: `LiveWeights` refuses (`UnknownLayout`) unless every
tensor of the checkpoint has its place, every parameter is covered, and every matrix multiplies as the file says.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from merging.checkpoint import Checkpoint, TensorInfo
from merging.stream import Blend
from orchestrator.inference.engines.vllm_split import TensorPart, parts_of
from orchestrator.inference.engines.vllm_split import UnknownLayout as UnknownLayout

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Slot:
    """A live tensor, and the parts of the checkpoint's tensors that fill its rows, in order."""

    path: str
    layer: Any
    attribute: str
    parts: tuple[TensorPart, ...]
    packed: bool
    """The layer computes from a repacked copy, not from the tensor."""
    tied: bool
    """The tensor is another slot's: only the copy is this one's."""

    @property
    def live(self) -> torch.Tensor:
        """The tensor in the running model."""
        tensor: torch.Tensor = getattr(self.layer, self.attribute)
        return tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the live tensor: the parts joined along the first axis."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    @property
    def names(self) -> list[str]:
        """Names of the checkpoint's tensors."""
        return list(dict.fromkeys(part.info.name for part in self.parts))

    @property
    def bytes(self) -> int:
        """Bytes of the parts as the checkpoint stores them."""
        return sum(
            (part.info.stop - part.info.start) * math.prod(part.shape) // max(1, math.prod(part.info.shape))
            for part in self.parts
        )


class LiveWeights:
    """The live weights of one vLLM model, written tensor by tensor."""

    def __init__(self, model: Any, blend: Blend, kept_bytes: int = 0) -> None:
        """`blend` is what the model was started with. Raises `UnknownLayout`."""
        self.resident: Blend | None = blend
        self.slots = _slots(model, blend.checkpoint)
        self._scratch = threading.local()
        self._keeping = threading.Lock()
        """Around `_kept` and `_room`, which the threads of `become` share."""
        self._kept: OrderedDict[tuple[Any, ...], tuple[Callable[..., Any], int]] = OrderedDict()
        self._room = kept_bytes
        self.moved = 0
        """Bytes of the checkpoint that the last `become` read."""
        self._left: set[int] = set()
        """Hashes of those who have been replaced before."""
        for slot in self.slots:
            self._prove(slot, blend)

    def become(self, blend: Blend) -> list[str]:
        """Write what differs between the resident model and `blend`; the names of the live tensors written.

        If it raises, the live weights are a mixture: the next call writes every tensor.
        """
        import torch

        names = None if self.resident is None else self.resident.differing(blend)
        changed = [s for s in self.slots if names is None or not names.isdisjoint(s.names)]
        # A thread a matrix, not all threads on each: no barriers, which under load cost more than the work.
        with ThreadPoolExecutor(torch.get_num_threads(), initializer=_alone) as pool:
            leaving, self.resident = self.resident, None
            # Memory never touched before costs more than packing into what is freed: only who came back is kept.
            keep = leaving if hash(leaving) in self._left else None
            self._left.add(hash(leaving))
            # A tied output layer is packed from the embedding: only once that is written whole.
            self.moved = 0
            for tied in (False, True):
                slots = [slot for slot in changed if slot.tied == tied]
                self.moved += sum(pool.map(lambda slot: self._fill(slot, keep, blend), slots))
        self.resident = blend
        return [f"{slot.path}.{slot.attribute}" for slot in changed]

    def distrust(self) -> None:
        """Forget what is live and what was kept: the next `become` writes every tensor from its file."""
        self.resident = None
        with self._keeping:
            self._room += sum(size for _, size in self._kept.values())
            self._kept.clear()

    def _fill(self, slot: Slot, keep: Blend | None, blend: Blend) -> int:
        """Bytes of the checkpoint that were read."""
        if not slot.packed:
            _write(slot.parts, blend, slot.live)
            return slot.bytes
        kept = self._exchange(slot, keep, blend)
        if kept is not None:
            slot.layer.cpu_linear = kept
            return 0
        # Freed before its successor is allocated, so that the memory is used again.
        slot.layer.cpu_linear = None
        if slot.live.numel():
            if not slot.tied:
                _write(slot.parts, blend, slot.live)
            slot.layer.quant_method.process_weights_after_loading(slot.layer)
            return 0 if slot.tied else slot.bytes
        self._pack(slot, self._computed(slot, blend))
        return slot.bytes

    def _pack(self, slot: Slot, matrix: torch.Tensor) -> None:
        import torch

        empty = slot.live
        setattr(slot.layer, slot.attribute, torch.nn.Parameter(matrix, requires_grad=False))
        slot.layer.quant_method.process_weights_after_loading(slot.layer)
        if slot.live.numel():
            raise UnknownLayout(f"{slot.path}: vLLM keeps the plain matrix now, it did not at start")
        setattr(slot.layer, slot.attribute, empty)

    def _computed(self, slot: Slot, blend: Blend) -> torch.Tensor:
        """The slot's matrix in a buffer that the next call for the same shape uses again."""
        import torch

        key = (slot.shape, slot.live.dtype)
        buffers: dict[Any, torch.Tensor] = self._scratch.__dict__
        if key not in buffers:
            buffers[key] = torch.empty(slot.shape, dtype=slot.live.dtype)
        _write(slot.parts, blend, buffers[key])
        return buffers[key]

    def _exchange(self, slot: Slot, keep: Blend | None, blend: Blend) -> Callable[..., Any] | None:
        """Keep `keep`'s packed matrix, which is about to be replaced, if there is room; the one wanted, if kept."""
        with self._keeping:
            # A tensor that stays live beside its packed copy would have to be kept too: not worth the memory.
            if keep is not None and not slot.live.numel() and slot.layer.cpu_linear is not None:
                self._kept[_key(slot, keep)] = slot.layer.cpu_linear, slot.bytes
                self._room -= slot.bytes
            kept, size = self._kept.pop(_key(slot, blend), (None, 0))
            self._room += size
            while self._room < 0:
                self._room += self._kept.popitem(last=False)[1][1]
            return kept

    def _prove(self, slot: Slot, blend: Blend) -> None:
        """Raises `UnknownLayout` unless the live tensor is what the checkpoint and the slot say."""
        import torch

        with torch.no_grad():
            if slot.live.numel():
                rows = slot.shape[0]
                wanted = torch.empty(slot.shape, dtype=slot.live.dtype)
                _write(slot.parts, blend, wanted)
                same = torch.equal(slot.live[:rows].cpu(), wanted)
            else:
                wanted = self._computed(slot, blend)
                probe = torch.randn(4, slot.shape[1], generator=torch.Generator().manual_seed(0)).to(wanted.dtype)
                plain = torch.nn.functional.linear(probe, wanted).float()
                packed = slot.layer.cpu_linear(probe, slot.live, None).float()
                same = bool((plain - packed).abs().max() <= 0.02 * plain.abs().max())
        if not same:
            raise UnknownLayout(f"{slot.path}: the live weights are not {slot.names}")


def refuse_unused(model: Any, checkpoint: Checkpoint) -> None:
    """Raises ValueError for a bias of a layer that has none in the live model: vLLM's loaders skip it without a word.
    Zeros pass: packers write them."""
    modules = dict(model.named_modules())
    fused: Mapping[str, Iterable[str]] = getattr(model, "packed_modules_mapping", {})
    for name, info in checkpoint.tensors.items():
        path = name.removesuffix(".bias")
        if path == name or f"{path}.weight" not in checkpoint.tensors:  # a mask may have that name too
            continue
        parent, _, last = path.rpartition(".")
        places = [path, *(f"{parent}.{whole}" for whole, parts in fused.items() if last in parts)]
        layer = next((modules[place] for place in places if place in modules), None)
        layer = getattr(layer, "base_layer", layer)
        if layer is not None and getattr(layer, "bias", None) is None and checkpoint.array(name).any():
            raise ValueError(f"{info.file}: {name!r}: config.json asks for a model without it, and vLLM leaves it out")


def _slots(model: Any, checkpoint: Checkpoint) -> list[Slot]:
    fused: Mapping[str, Iterable[str]] = getattr(model, "packed_modules_mapping", {})
    slots: list[Slot] = []
    owners: dict[int, Slot] = {}
    for path, layer in model.named_modules(remove_duplicate=True):
        for attribute, live in layer.named_parameters(recurse=False):
            _check_layer(path, layer)
            tensors = _tensors_of(path.replace(".base_layer", ""), attribute, fused, checkpoint.tensors)
            owner = owners.get(id(live))
            if not tensors and owner is None:
                raise UnknownLayout(f"{path}.{attribute}: the checkpoint has no tensor for it")
            packed = getattr(layer, "cpu_linear", None) is not None and attribute == "weight"
            if packed and _only_looked_up(model, layer):
                # vLLM packs the embedding as if it were multiplied with; it never is.
                layer.cpu_linear, packed = _plain_linear(), False
            # Identity, not equality: a tied output layer holds the very tensor of the embedding.
            tied = owner is not None and live.numel() > 0
            parts = owner.parts if tied and owner else parts_of(layer, attribute, tensors)
            slot = Slot(path, layer, attribute, parts, packed, tied)
            _check_shape(slot, live)
            owners[id(live)] = slot
            slots.append(slot)
    placed = {name for slot in slots for name in slot.names}
    for name in checkpoint.tensors:
        if name not in placed and not name.endswith("rotary_emb.inv_freq"):
            raise UnknownLayout(f"{name}: no place in the live model")
    return slots


def _tensors_of(
    path: str, attribute: str, fused: Mapping[str, Iterable[str]], tensors: Mapping[str, TensorInfo]
) -> tuple[TensorInfo, ...]:
    if f"{path}.{attribute}" in tensors:
        return (tensors[f"{path}.{attribute}"],)
    parent, _, last = path.rpartition(".")
    names = [f"{parent}.{part}.{attribute}" for part in fused.get(last, ())]
    return tuple(tensors[name] for name in names) if all(name in tensors for name in names) else ()


def _check_layer(path: str, layer: Any) -> None:
    method = type(getattr(layer, "quant_method", None)).__name__
    if method not in ("NoneType", "UnquantizedLinearMethod", "UnquantizedEmbeddingMethod"):
        raise UnknownLayout(f"{path}: {method}")


def _check_shape(slot: Slot, live: torch.Tensor) -> None:
    padded = "Embedding" in type(slot.layer).__name__ or "LMHead" in type(slot.layer).__name__
    fits = live.shape[0] >= slot.shape[0] if padded else live.shape[0] == slot.shape[0]
    # What is packed has no rows left to count: the layer itself says what it multiplies with.
    removed = slot.packed and live.numel() == 0 and slot.shape == _multiplied(slot.layer)
    if not removed and not (fits and tuple(live.shape[1:]) == slot.shape[1:]):
        raise UnknownLayout(f"{slot.path}: live shape {tuple(live.shape)}, the checkpoint's {slot.shape}")


def _multiplied(layer: Any) -> tuple[int, int] | None:
    """Rows and columns of a linear layer's matrix as vLLM made it. A file may hold it transposed (GPT-2)."""
    for names in (
        ("output_size_per_partition", "input_size_per_partition"),
        ("output_size", "input_size"),
        ("num_org_embeddings_per_partition", "embedding_dim"),
    ):
        if all(hasattr(layer, name) for name in names):
            return int(getattr(layer, names[0])), int(getattr(layer, names[1]))
    return None


def _only_looked_up(model: Any, layer: Any) -> bool:
    head = getattr(model, "lm_head", None)
    return type(layer).__name__ == "VocabParallelEmbedding" and head is not None and head is not layer


def _plain_linear() -> Callable[..., Any]:
    import torch

    linear: Callable[..., Any] = torch.nn.functional.linear
    return linear


def _key(slot: Slot, blend: Blend) -> tuple[Any, ...]:
    return (slot.path, *(blend.origin(name) for name in slot.names))


def _write(parts: Iterable[TensorPart], blend: Blend, out: torch.Tensor) -> None:
    start = 0
    for part in parts:
        stop = start + part.shape[0]
        blend.write(part.info.name, out[start:stop], part.index)
        start = stop


def _alone() -> None:
    """Let this thread's torch and oneDNN calls run on it alone."""
    import torch

    torch.get_num_threads()  # torch sets a new thread's number once, at its first call: after this one it stays
    torch.set_grad_enabled(False)
    with contextlib.suppress(OSError):
        ctypes.CDLL("libgomp.so.1").omp_set_num_threads(1)
