"""From messages to token ids: tokenizers and chat templates, read once and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import ExpertError
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.engines.tools import ToolHistory
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import PromptMessage, Sampling

_PLAIN = Sampling()


class Prompts:
    """Tokenizers by content (many folders, one tokenizer), templates and stop tokens by expert."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._tokenizers: dict[str, Any] = {}
        self._templates: dict[str, str] = {}
        self._stops: dict[Path, tuple[int, ...]] = {}

    def tokenizer(self, expert: Expert) -> Any:
        """The expert's transformers tokenizer. Raises `ExpertError` if its folder has none."""
        key = self._sources.tokenizer_hash(expert.folder)
        if key not in self._tokenizers:
            from transformers import AutoTokenizer

            try:
                self._tokenizers[key] = AutoTokenizer.from_pretrained(expert.folder, local_files_only=True)
            except (OSError, ValueError) as error:
                raise ExpertError(f"expert {expert.name!r}: no tokenizer in {expert.folder}: {error}") from error
        return self._tokenizers[key]

    def check(self, expert: Expert) -> None:
        """Raises `ExpertError` unless the expert has a tokenizer and a chat template."""
        self.tokenizer(expert)
        self._template(expert)

    def ids(self, expert: Expert, messages: Sequence[PromptMessage], sampling: Sampling = _PLAIN) -> list[int]:
        """The prompt's token ids, with the tools, the template's variables and the prefix of `sampling`. A template
        that does not speak of tools is given them as texts. Raises whatever the template raises for messages it does
        not accept."""
        tools = sampling.tools
        tokenizer, template, offered = self.tokenizer(expert), self._template(expert), ToolHistory.read(tools)
        knows_tools = tools is not None and "tools" in template
        if tools is not None and not knows_tools:
            messages, offered = offered.plain(messages), ToolHistory()
        text = tokenizer.apply_chat_template(
            offered.template_messages(messages),
            tools=list(offered.definitions) or None,
            chat_template=template,
            add_generation_prompt=not sampling.continue_final,
            continue_final_message=sampling.continue_final,
            tokenize=False,
            **(json.loads(sampling.template) if sampling.template else {}),
        )
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def stop_ids(self, expert: Expert) -> tuple[int, ...]:
        """Every token id that ends a reply: the tokenizer's, the config's and the generation config's."""
        folder = expert.folder
        if folder not in self._stops:
            found = {self.tokenizer(expert).eos_token_id}
            for name in ("config.json", "generation_config.json"):
                eos = _json(folder / name).get("eos_token_id")
                found.update(eos if isinstance(eos, list) else [eos])
            self._stops[folder] = tuple(sorted(token for token in found if isinstance(token, int)))
        return self._stops[folder]

    def _template(self, expert: Expert) -> str:
        template = self._templates.get(expert.fingerprint)
        if template is None:
            template = expert.chat_template or _stored_template(expert.folder)
            if template is None:
                raise ExpertError(
                    f"expert {expert.name!r}: {expert.folder} has no chat template; set `chat_template` to one"
                )
            self._templates[expert.fingerprint] = template
        return template


def _stored_template(folder: Path) -> str | None:
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _json(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExpertError(f"{file}: not valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}
