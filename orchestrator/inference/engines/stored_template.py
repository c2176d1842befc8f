"""Chat templates where models keep them: in a file, in several, in the tokenizer's configuration, under names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from merging.checkpoint import CheckpointError, json_object

MAX_TEMPLATE_BYTES = 2**20
TOOL_USE = "tool_use"


def stored_templates(folder: Path) -> dict[str, str]:
    """Name -> template; the one for all else is `default`. In transformers' order: chat_template.jinja, then the files
    of additional_chat_templates, then chat_template.json, then tokenizer_config.json. Empty: there is none.

    Raises `CheckpointError` for a file that is none, naming it.
    """
    found: dict[str, str] = {}
    for file in (folder / "tokenizer_config.json", folder / "chat_template.json"):
        if file.exists():
            found |= _named(json_object(file).get("chat_template"))
    for file in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found[file.stem] = template_text(file)
    single = folder / "chat_template.jinja"
    if single.exists():
        found["default"] = template_text(single)
    return found


def template_text(file: Path) -> str:
    """A template's file. Raises `CheckpointError`."""
    try:
        if not file.is_file():
            raise CheckpointError(f"{file}: not a file")
        if file.stat().st_size > MAX_TEMPLATE_BYTES:
            raise CheckpointError(f"{file}: larger than {MAX_TEMPLATE_BYTES} bytes")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from error


def _named(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {"default": value}
    if isinstance(value, dict):
        return {str(name): text for name, text in value.items() if isinstance(text, str)}
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return {str(entry.get("name")): entry["template"] for entry in entries if isinstance(entry.get("template"), str)}
