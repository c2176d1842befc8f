"""From the names in a recipe to opened models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.decoded import decoded
from merging.gguf import GgufCheckpoint
from merging.pickled import PickledCheckpoint, pickled_weights
from merging.recipe import ModelRef, Recipe
from merging.source_model import SourceModel
from merging.stream import Model
from merging.tokenizer import FILES

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
WEIGHTS_LEFT = ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.ckpt", "*.tflite", "original/*")
"""What is not asked of a hub: weights in forms that are not read."""


def open_models(
    recipe: Recipe, opened: Mapping[ModelRef, Model], inner: Mapping[ModelRef, SourceModel], allow_bin: bool = False
) -> dict[ModelRef, SourceModel]:
    """Every model of a recipe: a file, or the result of another recipe (`inner`). Raises `CheckpointError`."""
    found = {}
    for ref in recipe.models:
        if ref in inner:
            found[ref] = inner[ref]
            continue
        checkpoint, adapter = opened.get(ref) or open_model(ref, allow_bin)
        found[ref] = SourceModel.of(str(ref), checkpoint, adapter)
    return found


def open_model(ref: ModelRef, allow_bin: bool = False) -> Model:
    """Open a checkpoint (a folder, a hub id, a GGUF file) and its adapter: headers only. Raises `CheckpointError`."""
    checkpoint = open_checkpoint(ref.model, ref.revision, allow_bin)
    if not ref.adapter:
        return checkpoint, None
    return checkpoint, Adapter(located(ref.adapter, ref.adapter_revision, allow_bin), decoded(checkpoint), allow_bin)


def open_checkpoint(name: str, revision: str | None = None, allow_bin: bool = False) -> Checkpoint:
    """A folder, a hub id or a GGUF file. `allow_bin`: read pytorch_model.bin too. Raises `CheckpointError`."""
    file = Path(name).expanduser()
    if file.suffix == ".gguf":
        return GgufCheckpoint(file)
    folder = located(name, revision, allow_bin)
    if pickled_weights(folder):
        if not allow_bin:
            raise CheckpointError(
                f"{folder}: its weights are pickles ({pickled_weights(folder)[0].name}), which can run code when "
                "they are read; --allow-bin reads them through torch's weights-only loader"
            )
        return PickledCheckpoint(folder)
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise CheckpointError(f"{folder}: an adapter, and no model: write it behind its base, as BASE+{name}")
    return Checkpoint(folder)


def tokenizer_folder(ref: ModelRef) -> Path:
    """Where the tokenizer of a model is that is not merged itself. Raises `CheckpointError`."""
    return located(ref.model, ref.revision, only=list(FILES))


def located(name: str, revision: str | None, allow_bin: bool = False, only: list[str] | None = None) -> Path:
    """The folder itself, or the hub's copy of it (of the files `only`). Raises `CheckpointError`."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision:
            raise CheckpointError(f"{name}@{revision}: a folder has no revisions: check it out, and name no revision")
        return folder
    if not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"{name}: no such folder")
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError:
        raise CheckpointError(f"{name}: no such folder (and without huggingface_hub no hub can be asked)") from None
    left = [pattern for pattern in WEIGHTS_LEFT if not (allow_bin and pattern == "*.bin")]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=only, ignore_patterns=left))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        if constants.HF_HUB_OFFLINE:
            raise CheckpointError(
                f"{name}: no such folder, and not in the cache {constants.HF_HUB_CACHE} (HF_HUB_OFFLINE is set, so "
                "no hub was asked)"
            ) from error
        raise CheckpointError(
            f"{name}: no such folder, and the hub does not give it: {type(error).__name__}: {text}"
        ) from error
