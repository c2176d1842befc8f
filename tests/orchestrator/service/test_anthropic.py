"""Anthropic's Messages, as the official client reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

TOOL: Any = {"name": "weather", "description": "w", "input_schema": {"type": "object", "properties": {}}}
ASKED: Any = [{"role": "user", "content": "Rain?"}]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    settings["experts"]["caller"] = {"script": "weather_caller:caller"}
    return settings


@pytest.fixture
def official(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def test_a_text_is_answered(official: anthropic.Anthropic) -> None:
    message = official.messages.create(
        model="words", max_tokens=50, system="Be kind.", messages=[{"role": "user", "content": "history"}]
    )
    assert message.content[0].type == "text"
    assert (message.content[0].text, message.stop_reason) == ("system:Be kind. | user:history", "end_turn")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_a_stream_is_put_together_by_the_official_client(official: anthropic.Anthropic) -> None:
    with official.messages.stream(
        model="words", max_tokens=50, messages=[{"role": "user", "content": "Which word?"}]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "Easy.\nAnswer: a\nConfidence: 0.9"
    assert (final.content[0].type, final.stop_reason) == ("text", "end_turn")
    assert final.usage.output_tokens > 0


def test_a_tool_is_used_and_its_result_sent_back(official: anthropic.Anthropic) -> None:
    for streamed in (False, True):
        if streamed:
            with official.messages.stream(model="caller", max_tokens=50, messages=ASKED, tools=[TOOL]) as stream:
                first = stream.get_final_message()
        else:
            first = official.messages.create(model="caller", max_tokens=50, messages=ASKED, tools=[TOOL])  # type: ignore[assignment]
        text, use = first.content
        assert (text.type, use.type, first.stop_reason) == ("text", "tool_use", "tool_use")
        assert (use.name, use.input) == ("weather", {"city": "Ulm"})  # type: ignore[union-attr]
        result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": "dry"}  # type: ignore[union-attr]
        turns: Any = [*ASKED, {"role": "assistant", "content": [block.model_dump() for block in first.content]}]
        turns.append({"role": "user", "content": [result]})
        second = official.messages.create(model="caller", max_tokens=50, messages=turns, tools=[TOOL])
        assert second.content[0].text == "It is dry"  # type: ignore[union-attr]
