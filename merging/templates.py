"""Chat templates: by name, as text, or the one that most sources have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from merging.plan import Merge
from merging.settings import RecipeError

_MARKS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
NAMED = {
    "chatml": (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}{{ message['content'] | trim }}"
        "{{ '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "alpaca": (
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
        "{% elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
        "{% else %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
    ),
    "mistral": (
        "{{ bos_token }}{% set lead = namespace(text='') %}{% for message in messages %}"
        "{% if message['role'] == 'system' %}{% set lead.text = message['content'] + '\n\n' %}"
        "{% elif message['role'] == 'user' %}{{ '[INST] ' + lead.text + message['content'] + ' [/INST]' }}"
        "{% set lead.text = '' %}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
    "exaone": (
        "{% for message in messages %}"
        "{% if loop.first and message['role'] != 'system' %}{{ '[|system|][|endofturn|]\n' }}{% endif %}"
        "{{ '[|' + message['role'] + '|]' + message['content'] }}"
        "{% if message['role'] == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"
    ),
}
"""The formats that mergekit knows by name."""


def write_template(plan: Merge, folder: Path) -> list[str]:
    """The recipe's chat template beside the result's tokenizer; returns what the reader should know.

    Raises `RecipeError` for an unknown name.
    """
    wanted = plan.recipe.chat_template
    if wanted is None:
        return []
    notes = []
    if wanted == "auto":
        held = [text for model in plan.models.values() if (text := template_of(model.folder))]
        if not held:
            return ["chat_template: auto: none of the models has one"]
        wanted = max(held, key=held.count)
    elif wanted in NAMED:
        notes = _unknown_tokens(wanted, folder)
        wanted = NAMED[wanted]
    (folder / "chat_template.jinja").write_text(wanted, "utf-8")
    config = folder / "tokenizer_config.json"
    if config.exists():
        data = json.loads(config.read_text("utf-8"))
        if data.pop("chat_template", None) is not None:
            config.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")
    (folder / "chat_template.json").unlink(missing_ok=True)
    return notes


def check_template(wanted: str | None, where: str) -> str | None:
    """The same. Raises `RecipeError` for what is neither a name nor a template that Jinja can read."""
    if wanted is None or wanted == "auto" or wanted in NAMED:
        return wanted
    if "{" not in wanted:
        raise RecipeError(
            f"{where}: chat_template: {wanted[:40]!r}: wants a Jinja template, auto, or one of {', '.join(NAMED)}"
        )
    try:
        from jinja2 import Environment, TemplateError
    except ImportError:
        return wanted
    try:
        # `generation` is transformers' own: it marks what a model said, and changes no text.
        Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True).parse(_MARKS.sub("", wanted))
    except TemplateError as error:
        raise RecipeError(
            f"{where}: chat_template: Jinja cannot read it: {' '.join(str(error).split())[:120]}"
        ) from None
    return wanted


def _unknown_tokens(name: str, folder: Path) -> list[str]:
    """The format's marks that the tokenizer does not know as tokens."""
    marks = {"chatml": ("<|im_start|>", "<|im_end|>"), "llama3": ("<|start_header_id|>", "<|eot_id|>")}
    file = folder / "tokenizer.json"
    if name not in marks or not file.is_file():
        return []
    text = file.read_text("utf-8")
    lacking = [mark for mark in marks[name] if json.dumps(mark, ensure_ascii=False) not in text]
    return [f"chat_template {name}: the tokenizer has no token {mark}: it is read in pieces" for mark in lacking]


def template_of(folder: Path) -> str | None:
    """A model's chat template, from its own file or its tokenizer's configuration (of several, the default)."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text("utf-8")
    if config.is_file():
        found: Any = json.loads(config.read_text("utf-8")).get("chat_template")
        if isinstance(found, list):
            named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
            found = named.get("default")
        return found if isinstance(found, str) else None
    return None
