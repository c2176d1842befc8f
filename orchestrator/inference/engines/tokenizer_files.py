"""Which files of a folder make its tokenizer, and what two of them must share.

An engine turns ids into text with the tokenizer that it was started with, so experts that share one need one mapping
from ids to text (`mapping_digest`). All else (how text is split, which tokens begin and end a prompt, the template) is
applied per expert, by a tokenizer of its own (`tokenizer_digest`).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from merging.checkpoint import CheckpointError, json_object

TOKENIZER_FILE = re.compile(
    r"tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|tekken\.json"
    r"|vocab(ulary)?\.(json|txt)|merges\.txt|[\w.-]+\.(model|tiktoken|spm|bpe)"
)
MAPPING_FILE = re.compile(r"tekken\.json|vocab(ulary)?\.(json|txt)|added_tokens\.json|[\w.-]+\.(model|tiktoken|spm)")
BESIDE = frozenset(["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"])
"""Files that belong to a tokenizer and are none by themselves."""
MAX_BYTES = 256 << 20


def tokenizer_files(folder: Path) -> list[Path]:
    """All files that decide how text becomes ids and back, by name."""
    return sorted(file for file in folder.iterdir() if TOKENIZER_FILE.fullmatch(file.name) and file.is_file())


def check_tokenizer(folder: Path) -> None:
    """Raises `CheckpointError` for a folder without a vocabulary, by its files' names alone."""
    if not {file.name for file in tokenizer_files(folder)} - BESIDE:
        raise CheckpointError(f"{folder}: no tokenizer (tokenizer.json, vocab.json, tokenizer.model, ...)")


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 over the tokenizer's files and the model type (which chooses the tokenizer's class)."""
    kind = str(json_object(folder / "config.json").get("model_type"))
    digest = hashlib.sha256(kind.encode())
    for file in tokenizer_files(folder):
        digest.update(file.name.encode() + hashlib.sha256(_content(file)).digest())
    return digest.hexdigest()


def mapping_digest(folder: Path) -> str:
    """SHA-256 of the mapping from ids to text: equal for a tokenizer that was only saved again.

    Raises `CheckpointError` where tokenizer.json is none.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        return hashlib.sha256(json.dumps(_mapping(file), sort_keys=True).encode()).hexdigest()
    digest = hashlib.sha256()
    for file in tokenizer_files(folder):
        if MAPPING_FILE.fullmatch(file.name):
            digest.update(file.name.encode() + hashlib.sha256(_content(file)).digest())
    return digest.hexdigest()


def _mapping(file: Path) -> list[Any]:
    found = json_object(file)
    model, added = found.get("model"), found.get("added_tokens", [])
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)) or not isinstance(added, list):
        raise CheckpointError(f"{file}: not a tokenizer: no vocabulary under `model`")
    how = {key: value for key, value in model.items() if key not in ("merges", "dropout")}
    tokens = [
        [token.get("id"), token.get("content"), token.get("special")] for token in added if isinstance(token, dict)
    ]
    return [how, sorted(tokens, key=str), found.get("decoder")]


def _content(file: Path) -> bytes:
    if file.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{file}: larger than {MAX_BYTES} bytes")
    return file.read_bytes()
