"""Everything in a model's folder that is neither weights nor configuration comes along: processors, custom code,
the modules of sentence-transformers, licences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merging.tokenizer import FILES

WEIGHTS = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".onnx",
    ".msgpack",
    ".h5",
    ".tflite",
    ".npz",
    ".pkl",
)
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
REPLACED = (
    *("config.json", "README.md", "params.json", ADAPTER_FILES[0]),
    *("hf_quant_config.json", "quantize_config.json", "quant_config.json", "quantization_config.json"),
)
"""What says how the former weights are read: with it, loaders would read the result as something else."""
TRAINING = ("trainer_state.json", "training_args.json", "optimizer.json", "all_results.json", "train_results.json")
FOLDERS_LEFT = ("checkpoint-", "global_step", "runs", "onnx", "openvino", "original", "wandb", "logs", "__pycache__")
MAX_FILES = 2000
MAX_BYTES = 4_000_000_000


def carry(source: Path, folder: Path, tokenizer: bool) -> list[str]:
    """Copy the side files of `source` into `folder`; `tokenizer`: its tokenizer's too. What is there already stays.

    Returns what the reader should know.
    """
    notes = []
    modules = _modules(source)
    copied, left = 0, []
    for file in _files(source, modules):
        name = file.relative_to(source)
        target = folder / name
        if (len(name.parts) == 1 and not tokenizer and name.name in FILES) or target.exists():
            continue
        if file.is_symlink() and not _near(file, source):
            notes.append(f"{name} of {source} is a link to a file elsewhere: not carried along")
            continue
        size = file.stat().st_size
        copied += 1
        if copied > MAX_FILES or size > MAX_BYTES:
            left.append(str(name))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        if name.suffix in WEIGHTS:
            notes.append(f"{name}: weights of a module beside the model: taken over from {source}, not merged")
    if left:
        notes.append(
            f"{left[0]} and {len(left) - 1} more files of {source} are not carried along: too many or too large"
        )
    return notes


def _near(link: Path, source: Path) -> bool:
    """In the model's own folder, or in the store of a hub's cache, which stands two folders above it."""
    target = link.resolve()
    store = source.absolute().parent.parent / "blobs"
    return target.is_relative_to(source.resolve()) or target.is_relative_to(store.resolve())


def _files(source: Path, modules: tuple[str, ...], top: Path | None = None) -> Iterator[Path]:
    top = top or source
    try:
        entries = sorted(source.iterdir())
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        if entry.is_dir():
            whole = str(entry.relative_to(top)).split("/")[0] in modules
            if not entry.is_symlink() and (whole or not name.startswith(FOLDERS_LEFT)):
                yield from _files(entry, modules, top)
        elif entry.is_file() and _carried(entry, top, modules):
            yield entry


def _carried(file: Path, top: Path, modules: tuple[str, ...]) -> bool:
    if file.parent != top:
        return file.suffix not in WEIGHTS or file.relative_to(top).parts[0] in modules
    index = file.name.endswith(".index.json")
    return not (file.suffix in WEIGHTS or index or file.name in REPLACED or file.name in TRAINING)


def _modules(source: Path) -> tuple[str, ...]:
    """The folders that sentence-transformers' modules.json names."""
    file = source / "modules.json"
    try:
        listed: Any = json.loads(file.read_text("utf-8")) if file.is_file() and file.stat().st_size < 1_000_000 else []
    except (OSError, ValueError, RecursionError):
        return ()
    paths = [entry.get("path") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return tuple(path for path in paths if isinstance(path, str) and path and "/" not in path and path != "..")
