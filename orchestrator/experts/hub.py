"""Models by hub id (`Qwen/Qwen2.5-7B-Instruct`): from huggingface_hub's cache, or downloaded into it.

Only what an expert needs is fetched: safetensors, JSON, templates and tokenizers; no pickles, no Python.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import ExpertError, SetupError
from orchestrator.expert_config import HUB_ID

WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "additional_chat_templates/*")


def is_hub_id(name: str) -> bool:
    """True for OWNER/NAME."""
    return bool(HUB_ID.fullmatch(name)) and not name.startswith("demo/")


def snapshot(name: str, revision: str | None = None, code: bool = False) -> Path:
    """The folder of a hub model: the cached one if it is whole, else downloaded, with progress on stderr. `code`: with
    the Python that lies in it.

    Raises `ExpertError` naming the command that fetches it where the hub cannot be reached, or must not be.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise SetupError(f"{name}: a hub model needs the package huggingface_hub; run `collegium setup`") from error
    patterns = [*WANTED, *(["*.py"] if code else [])]
    command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=patterns))
        if _whole(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    if _offline():
        raise ExpertError(f"{name} is not (wholly) in the hub's cache, and HF_HUB_OFFLINE is set; fetch it: {command}")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExpertError(f"{name}: neither in the hub's cache nor to be had: {reason}; try: {command}") from error


def misplaced(folder: Path) -> str:
    """What a folder is that is no checkpoint but looks like something near one, and what to do; else empty."""
    if folder.is_file():
        return "a file; name the folder of the checkpoint (GGUF is read by `collegium merge`, not by engines)"
    if not folder.is_dir():
        return ""
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        return "an adapter: set it as `adapter`, and the model under it as `model`"
    if not (folder / "config.json").exists():
        inner = sorted(file.parent for place in ("snapshots/*", "*") for file in folder.glob(f"{place}/config.json"))
        return f"no config.json, but {inner[0]} has one: name that folder" if inner else ""
    shards = sorted(file.name for file in folder.glob("*-of-*.safetensors"))
    if (
        shards
        and not (folder / "model.safetensors.index.json").exists()
        and not (folder / "model.safetensors").exists()
    ):
        return f"{shards[0]}, but no model.safetensors.index.json that says which tensor lies in which file"
    return ""


def _whole(folder: Path) -> bool:
    """Config and all weight files are there: a download may have been cut off."""
    from merging.checkpoint import Checkpoint, CheckpointError

    if (folder / "adapter_config.json").exists():
        return (folder / "adapter_model.safetensors").exists()
    try:
        Checkpoint(folder)
    except CheckpointError:
        return False
    return True


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
