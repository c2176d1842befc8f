"""Chat templates wherever models keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.inference.engines.stored_template import stored_templates


def test_templates_are_found_wherever_models_keep_them(tmp_path: Path) -> None:
    import json

    def kept(name: str, content: Any) -> dict[str, str]:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return stored_templates(tmp_path)

    assert stored_templates(tmp_path) == {}
    assert kept("tokenizer_config.json", {"chat_template": "one"}) == {"default": "one"}
    named = [{"name": "default", "template": "two"}, {"name": "tool_use", "template": "tools"}]
    assert kept("tokenizer_config.json", {"chat_template": named}) == {"default": "two", "tool_use": "tools"}
    assert kept("chat_template.json", {"chat_template": "three"})["default"] == "three"
    assert kept("additional_chat_templates/rag.jinja", "four")["rag"] == "four"
    assert kept("chat_template.jinja", "five") == {"default": "five", "tool_use": "tools", "rag": "four"}
