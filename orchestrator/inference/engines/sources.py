"""From experts to tensors: opens checkpoints and adapters once, and reads files ahead."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.decoded import decoded
from merging.live import LiveMerge
from merging.plan import Merge
from merging.recipe import ModelRef
from merging.recipe_file import parse
from merging.settings import RecipeError
from merging.stream import Blend, Model, compare, plain
from orchestrator.errors import ExpertError
from orchestrator.inference.engines.architecture import check_class, check_config, check_folder, same_forward
from orchestrator.inference.engines.host_cache import HostCache
from orchestrator.inference.engines.tokenizer_files import mapping_digest, tokenizer_digest, tokenizer_files
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights

if TYPE_CHECKING:
    import torch

MAX_OPEN = 256
"""Folders kept open. A mapped file costs addresses, not memory."""

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of each file of a folder: another stamp, another content."""


class Sources:
    """Opened folders, shared by all experts that use them. One thread calls it, except `read_ahead`'s own."""

    def __init__(self, decode: bool = False, host_gib: float = 0.0) -> None:
        """decode: quantised checkpoints are the numbers that they stand for, as an engine without kernels for them
        wants it. `host_gib`: of weight files that are kept whole in memory once they were read ahead."""
        self._decode = decode
        self.host = HostCache(int(host_gib * 2**30))
        self._open: OrderedDict[tuple[Any, ...], Checkpoint | Adapter] = OrderedDict()
        self._hashes: dict[tuple[str, Path, Stamp], str] = {}
        self._numbers: set[str] = set()
        """Fingerprints of experts that `check_mixture` has read."""
        self._merges: OrderedDict[tuple[Any, ...], LiveMerge] = OrderedDict()

    def blend(self, expert: Expert) -> Blend:
        """The expert's weights, computed when they are asked for. Raises `ExpertError` naming file and tensor."""
        try:
            if expert.weights:
                return plain(self._model(expert.weights))
            if not expert.recipe:
                raise ExpertError(f"expert {expert.name!r} has no weights that a local engine could load")
            return self._merge(expert.recipe)
        except (CheckpointError, RecipeError) as error:
            raise ExpertError(f"expert {expert.name!r}: {error}") from error

    def tokenizer_hash(self, folder: Path) -> str:
        """Equal hashes, one tokenizer: the same ids for the same text. Raises `CheckpointError`."""
        return self._hashed("tokenizer", folder, tokenizer_digest)

    def mapping_hash(self, folder: Path) -> str:
        """Equal hashes, one mapping from ids to text. Raises `CheckpointError`."""
        return self._hashed("mapping", folder, mapping_digest)

    def quantised(self, expert: Expert) -> bool:
        """The expert is computed with quantised weights, not with the numbers that they stand for."""
        packed = any(one.config.get("quantization_config") for _, one in self.blend(expert).dense)
        return bool(expert.quantization) or (packed and not self._decode)

    def check_mixture(self, expert: Expert, blend: Blend) -> None:
        """Raises `ExpertError` where the weights of a mixture's expert hold NaN or infinity: a canary would tell only
        where its prompts happen to meet that expert. They are read once for that; dense models are not."""

        if expert.fingerprint in self._numbers:
            return
        for name in blend.names:
            if "expert" not in name and len(blend.checkpoint.tensors[name].shape) != 3:
                continue
            try:
                finite = _is_finite(blend.tensor(name))
            except CheckpointError:  # packed integers are numbers; their scales may not be
                finite = not _no_exponent(blend.checkpoint, name)
            if not finite:
                raise no_number(expert, blend)
        self._numbers.add(expert.fingerprint)

    def same_shape(self, wanted: Checkpoint, found: Checkpoint) -> None:
        """Raises `CheckpointError` naming the first tensor, key or file in which two of one shape differ."""
        compare(wanted, found)
        same_forward(wanted, found)
        if self.mapping_hash(wanted.folder) != self.mapping_hash(found.folder):
            raise CheckpointError(f"{found.folder} has another tokenizer than {wanted.folder}")

    def read_ahead(self, expert: Expert) -> threading.Thread:
        """Bring the expert's weight files into the page cache, and into `host` as far as that goes, on a thread of low
        priority."""
        files = [file for folder in expert.files for file in sorted(folder.glob("*.safetensors"))]
        checkpoints: list[Checkpoint] = []
        with contextlib.suppress(ExpertError):  # its load will say what is wrong with it
            checkpoints = [one for _, one in self.blend(expert).dense] if self.host.limit else []
        arguments = (files, self.host, checkpoints)
        thread = threading.Thread(target=_read_ahead, args=arguments, name="read-ahead", daemon=True)
        thread.start()
        return thread

    def _hashed(self, what: str, folder: Path, digest: Callable[[Path], str]) -> str:
        key = (what, folder, _stamp([*tokenizer_files(folder), folder / "config.json"]))
        if key not in self._hashes:
            self._hashes[key] = digest(folder)
        return self._hashes[key]

    def _merge(self, recipe: ExpertRecipe) -> LiveMerge:
        """The recipe over opened files. The same files give the same object: what was kept of it is found again."""
        wanted = parse(recipe.raw()).seeded(recipe.seed)
        weights = (*((recipe.base,) if recipe.base else ()), *recipe.sources)
        models = {ModelRef(str(each.model), str(each.adapter) if each.adapter else None): each for each in weights}
        opened = {ref: self._model(each) for ref, each in models.items()}
        key = (repr(wanted), *((id(checkpoint), id(adapter)) for checkpoint, adapter in opened.values()))
        if key not in self._merges:
            self._merges[key] = LiveMerge.of(Merge(wanted, opened))
            while len(self._merges) > MAX_OPEN:
                self._merges.popitem(last=False)
        self._merges.move_to_end(key)
        return self._merges[key]

    def _model(self, source: Weights) -> Model:
        folder = Path(source.model)
        check_folder(folder)
        base = self._opened(("checkpoint", folder, _stamp_of(folder)), lambda: self._checkpoint(folder))
        assert isinstance(base, Checkpoint)
        if source.adapter is None:
            return base, None
        adapter_folder = Path(source.adapter)
        key = ("adapter", adapter_folder, _stamp_of(adapter_folder), id(base))
        adapter = self._opened(key, lambda: Adapter(adapter_folder, base))
        assert isinstance(adapter, Adapter)
        return base, adapter

    def _checkpoint(self, folder: Path) -> Checkpoint:
        checkpoint = Checkpoint(folder)
        check_config(checkpoint)
        check_class(checkpoint)
        return decoded(checkpoint) if self._decode else checkpoint

    def _opened(self, key: tuple[Any, ...], make: Any) -> Checkpoint | Adapter:
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = make()
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return found


def _is_finite(tensor: torch.Tensor) -> bool:
    """No NaN and no infinity: each is among the least and the largest number. One pass: 0.17 s per GiB."""
    import torch

    return not tensor.numel() or all(bool(one.isfinite()) for one in torch.aminmax(tensor))


def _no_exponent(checkpoint: Checkpoint, name: str) -> bool:
    """The tensor is one of scales that are stored as exponents (E8M0, as MXFP4 has them), and one stands for NaN."""
    import numpy as np

    info = checkpoint.tensors[name]
    if "scale" not in name or info.dtype != "U8":
        return False
    exponents = np.empty(info.stop - info.start, np.uint8)
    checkpoint.read_into(name, 0, exponents)
    return bool((exponents == 255).any())


def no_number(expert: Expert, blend: Blend, unfilled: Sequence[str] = ()) -> ExpertError:
    """What is wrong with an expert whose first canary holds no finite numbers: the tensor that has none, if one has, or
    the first of the matrices that no file filled."""

    for name in blend.names:
        try:
            finite = _is_finite(blend.tensor(name))
        except CheckpointError:
            finite = not _no_exponent(blend.checkpoint, name)
        if not finite:
            return ExpertError(
                f"expert {expert.name!r}: {_source(blend, name)}: tensor {name!r} holds NaN or infinite numbers"
            )
    if unfilled:
        folder = blend.checkpoint.folder
        return ExpertError(f"expert {expert.name!r}: {folder}: the files hold no tensor for {unfilled[0]!r}")
    return ExpertError(f"expert {expert.name!r}: {blend.checkpoint.folder}: it computes no finite numbers")


def _source(blend: Blend, name: str) -> Path:
    """Of the files that a tensor is the sum of, the first whose part is no number."""

    for _, checkpoint in blend.dense:
        if _no_exponent(checkpoint, name) or not _is_finite(plain((checkpoint, None)).tensor(name)):
            return checkpoint.tensors[name].file
    adapters = [adapter.file for _, adapter in blend.low_rank if name in adapter.changes]
    return adapters[0] if adapters else blend.checkpoint.tensors[name].file


def _stamp_of(folder: Path) -> Stamp:
    return _stamp(sorted((*folder.glob("*.safetensors"), *folder.glob("*.json"))))


def _stamp(files: list[Path]) -> Stamp:
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _read_ahead(files: list[Path], host: HostCache, checkpoints: list[Checkpoint]) -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    for file in files:
        # The load itself will say what is wrong with the file.
        with contextlib.suppress(OSError), file.open("rb") as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
            else:
                while stream.read(1 << 20):
                    pass
    host.fill(checkpoints)
