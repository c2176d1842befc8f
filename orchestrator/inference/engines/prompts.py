"""From messages to token ids: tokenizers and chat templates, read once and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from merging.checkpoint import CheckpointError, json_object
from orchestrator.errors import ExpertError, PromptTooLong, RequestError
from orchestrator.inference.engines.architecture import vocabulary
from orchestrator.inference.engines.chat_template import TemplateError, render
from orchestrator.inference.engines.echo import check_ids, is_plain, token_ids
from orchestrator.inference.engines.sources import Sources
from orchestrator.inference.engines.stored_template import TOOL_USE, stored_templates
from orchestrator.inference.engines.tools import plain_messages, template_messages
from orchestrator.inference.expert import Expert
from orchestrator.inference.pretrained import load_tokenizer
from orchestrator.inference.request import PROMPT, PROMPT_IDS, PromptMessage, Request, Sampling
from orchestrator.inference.tool_history import ToolHistory
from reasoning.stream import is_mark, opened

_PLAIN = Sampling()
PROMPT_END = 16
"""Tokens at a prompt's end among which a thinking mark is looked for."""


class Prompts:
    """Tokenizers by content (many folders, one tokenizer), templates and stop tokens by expert."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._tokenizers: dict[str, Any] = {}
        self._templates: dict[str, dict[str, str]] = {}
        self._stops: dict[Path, tuple[int, ...]] = {}
        self._marks: dict[int, frozenset[int]] = {}

    def tokenizer(self, expert: Expert) -> Any:
        """The expert's transformers tokenizer. Raises `ExpertError` if its folder has none."""
        key = self._sources.tokenizer_hash(expert.folder)
        if key not in self._tokenizers:
            try:
                self._tokenizers[key] = load_tokenizer(expert.folder, expert.trust_remote_code)
            except (OSError, ValueError) as error:
                raise ExpertError(f"expert {expert.name!r}: no tokenizer in {expert.folder}: {error}") from error
        return self._tokenizers[key]

    def check(self, expert: Expert) -> None:
        """Raises `ExpertError` unless the expert has a tokenizer and a chat template."""
        try:
            self.tokenizer(expert)
            self._template(expert)
            self.stop_ids(expert)
        except CheckpointError as error:
            raise ExpertError(f"expert {expert.name!r}: {error}") from error

    def ids(self, expert: Expert, messages: Sequence[PromptMessage], sampling: Sampling = _PLAIN) -> list[int]:
        """The prompt's token ids, with the tools, the template's variables and the prefix of `sampling`. A template
        that does not speak of tools is given them as texts. Raises `RequestError` for messages that the template does
        not accept."""
        if is_plain(messages):
            return self._plain_ids(expert, *messages[0])
        tools = sampling.tools
        tokenizer, offered = self.tokenizer(expert), tools or ToolHistory()
        template = self._template(expert, TOOL_USE if tools is not None else "default")
        knows_tools = tools is not None and "tools" in template
        if tools is not None and not knows_tools:
            messages, offered = plain_messages(tools, messages), ToolHistory()
        if expert.system and (not messages or messages[0][0] != "system"):
            messages = (("system", expert.system), *messages)
        variables = {
            **_special_texts(tokenizer),
            **json.loads(expert.template_variables or "{}"),
            **json.loads(sampling.template or "{}"),
        }
        try:
            text = render(
                template,
                template_messages(offered, messages),
                continue_final=sampling.continue_final,
                tools=list(offered.definitions) or None,
                documents=None,
                **variables,
            )
        except TemplateError as error:
            raise RequestError(f"messages: {error}") from error
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def too_long(self, expert: Expert, request: Request, tokens: int, holds: int) -> PromptTooLong:
        """What is said of a prompt of so many `tokens` where there is room for `holds`, and how much of it is tools."""
        message = f"the prompt is too long: {tokens} tokens, {expert.name!r} holds {holds}"
        tools = request.sampling.tools
        if tools is not None and tools.definitions:
            without = replace(request.sampling, tools=replace(tools, definitions=()))
            share = tokens - len(self.ids(expert, request.messages, without))
            message += f"; {share} of them are the tools that the client offers"
        return PromptTooLong(message)

    def opened(self, expert: Expert, ids: Sequence[int]) -> str:
        """The thinking mark with which a prompt ends, so that the reply begins inside a thought; else empty."""
        return opened(self.tokenizer(expert).decode(ids[-PROMPT_END:]))

    def special_marks(self, expert: Expert) -> frozenset[int]:
        """Thinking marks that the expert's tokenizer holds for special tokens, which a reply's text goes without: these
        are to stay, or nobody would see where a thought ends."""
        tokenizer = self.tokenizer(expert)
        key = id(tokenizer)
        if key not in self._marks:
            texts = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False)
            self._marks[key] = frozenset(token for token, text in texts if is_mark(str(text)))
        return self._marks[key]

    def special_texts(self, expert: Expert, kept: frozenset[int]) -> tuple[str, ...]:
        """Texts of the tokenizer's special tokens, but for those that are `kept`."""
        tokenizer = self.tokenizer(expert)
        texts = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False)
        return tuple(str(text) for token, text in texts if token not in kept)

    def plain_text(self, expert: Expert, messages: Sequence[PromptMessage]) -> str:
        """The text of a prompt that is no chat; of token ids, what they decode to."""
        ((role, content),) = messages
        if role == PROMPT:
            return content
        ids = token_ids(content)
        return str(self.tokenizer(expert).decode(ids, clean_up_tokenization_spaces=False))

    def _plain_ids(self, expert: Expert, role: str, content: str) -> list[int]:
        """As other servers make them of a prompt that is no chat: with the tokens that the tokenizer adds itself.
        Raises `RequestError` for ids that the tokenizer does not have."""
        tokenizer = self.tokenizer(expert)
        ids = token_ids(content) if role == PROMPT_IDS else list(tokenizer(content)["input_ids"])
        check_ids(ids, max(len(tokenizer), tokenizer.vocab_size))
        return ids

    def stop_ids(self, expert: Expert) -> tuple[int, ...]:
        """Every token id that ends a reply: the tokenizer's, the config's and the generation config's."""
        folder = expert.folder
        if folder not in self._stops:
            found = {self.tokenizer(expert).eos_token_id}
            for name in ("config.json", "generation_config.json"):
                eos = json_object(folder / name).get("eos_token_id") if (folder / name).exists() else None
                found.update(eos if isinstance(eos, list) else [eos])
            known = vocabulary(json_object(folder / "config.json")) or math.inf
            # What the model cannot say ends nothing, and vLLM refuses it.
            ends = {token for token in found if isinstance(token, int) and 0 <= token < known}
            self._stops[folder] = tuple(sorted(ends))
        return self._stops[folder]

    def _template(self, expert: Expert, name: str = "default") -> str:
        """The expert's template of that name, or else its default one."""
        if expert.chat_template:
            return expert.chat_template
        found = self._templates.get(expert.fingerprint)
        if found is None:
            found = self._templates[expert.fingerprint] = stored_templates(expert.folder)
        template = found.get(name, found.get("default"))
        if template is None:
            names = f" (only {', '.join(sorted(found))})" if found else ""
            raise ExpertError(
                f"expert {expert.name!r}: {expert.folder} has no chat template{names}; set `chat_template` to one"
            )
        return template


def _special_texts(tokenizer: Any) -> dict[str, Any]:
    """bos_token and its like, which templates write."""
    return {name: value for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
