"""What LangChain's users say of tools, as OpenAI has it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.inference.chat_model import _choice


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, None), ("", None), (False, None), (True, "required"), ("any", "required"), ("required", "required"),
        ("auto", "auto"), ("none", "none"), ("f", {"type": "function", "function": {"name": "f"}}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
    ],
)  # fmt: skip
def test_a_choice_of_tools(given: Any, meant: Any) -> None:
    assert _choice(given) == meant
