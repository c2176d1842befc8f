"""The forms of a prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.inference.request import PROMPT, PROMPT_IDS
from orchestrator.service.completion_body import CompletionBody


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("a", [(PROMPT, "a")]),
        ("", [(PROMPT, "")]),
        ([3, 4], [(PROMPT_IDS, "[3, 4]")]),
        (["a", "b"], [(PROMPT, "a"), (PROMPT, "b")]),
        ([[3, 4], [5]], [(PROMPT_IDS, "[3, 4]"), (PROMPT_IDS, "[5]")]),
    ],
)
def test_a_prompt_is_a_text_or_token_ids_one_or_several(prompt: Any, wanted: Any) -> None:
    body = CompletionBody.model_validate({"model": "a", "prompt": prompt})
    assert [messages[0] for messages in body.prompts] == wanted
    assert json.loads(body.model_dump_json())["prompt"] == prompt


def test_the_default_length_is_openais_and_nothing_but_the_prompt_can_be_asked_for() -> None:
    def length(**fields: Any) -> int:
        body = CompletionBody.model_validate({"model": "a", "prompt": "a", **fields})
        return body.sampling(100, 1.0).max_tokens

    assert length() == length(max_tokens=0) == length(max_tokens=None) == 16
    assert length(max_tokens=0, echo=True) == 0
    assert length(max_tokens=500) == 100
