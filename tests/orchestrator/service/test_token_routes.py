"""Texts and chats as an expert's tokenizer has them."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest

CHAT: Any = [{"role": "user", "content": "Is a tomato a fruit?"}]


@pytest.fixture
def with_weights(settings: dict[str, Any]) -> dict[str, Any]:
    """Beside the scripted experts one with a tokenizer; it is never loaded."""
    return {**settings, "zoo": "demo"}


async def test_a_text_and_a_chat_are_told_as_tokens_and_back(with_weights: dict[str, Any], serving: Any) -> None:
    async with serving(with_weights) as client:

        async def tokens(**body: Any) -> dict[str, Any]:
            answer = await client.post("/tokenize", json={"model": "base", **body})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        plain = await tokens(prompt="Is a tomato a fruit?", return_token_strs=True)
        assert plain["count"] == len(plain["tokens"]) == len(plain["token_strs"]) > 4
        assert plain["max_model_len"] > 100
        back = await client.post("/detokenize", json={"model": "base", "tokens": plain["tokens"]})
        assert back.json() == {"prompt": "Is a tomato a fruit?"}
        assert (await client.post("/detokenize", json={"model": "base", "tokens": []})).json() == {"prompt": ""}
        chat = await tokens(messages=CHAT)
        assert chat["count"] > plain["count"]
        tool = {"type": "function", "function": {"name": "dictionary"}}
        assert (await tokens(messages=CHAT, tools=[tool]))["count"] > chat["count"]


async def test_what_has_no_tokens_is_refused_by_name(with_weights: dict[str, Any], serving: Any) -> None:
    wrong: list[tuple[str, dict[str, Any], int, str]] = [
        ("tokenize", {"model": "base"}, 400, "prompt"),
        ("tokenize", {"model": "base", "prompt": "a", "messages": CHAT}, 400, "prompt"),
        ("tokenize", {"model": "base", "messages": [{"role": "cat", "content": "a"}]}, 400, "role"),
        ("tokenize", {"model": "base", "messages": CHAT, "add_generation_prompt": False}, 400, "add_generation_prompt"),
        ("tokenize", {"model": "words", "prompt": "a"}, 400, "words"),
        ("tokenize", {"model": "vote", "prompt": "a"}, 400, "vote"),
        ("tokenize", {"model": "nobody", "prompt": "a"}, 404, "nobody"),
        ("detokenize", {"model": "base", "tokens": [99999999]}, 400, "99999999"),
        ("detokenize", {"model": "base", "tokens": [-1]}, 400, "tokens"),
        ("detokenize", {"model": "base", "tokens": "abc"}, 400, "tokens"),
    ]
    async with serving(with_weights) as client:
        for path, body, status, named in wrong:
            answer = await client.post(f"/v1/{path}", json=body)
            assert answer.status_code == status, body
            assert named in answer.json()["error"]["message"]


def test_a_message_is_counted_as_its_chat_is_tokenized(with_weights: dict[str, Any], on_socket: Any) -> None:
    tool: Any = {"name": "dictionary", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    function = {"name": "dictionary", "description": "d", "parameters": tool["input_schema"]}
    with on_socket(with_weights) as url:
        chat: Any = {"model": "base", "messages": [{"role": "system", "content": "Be kind."}, *CHAT]}
        chat["tools"] = [{"type": "function", "function": function}]
        tokens = httpx.post(f"{url}/tokenize", json=chat, timeout=60).json()["count"]
        with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as official:
            counted = official.messages.count_tokens(
                model="base", system="Be kind.", messages=CHAT, tools=[tool], extra_body={"metadata": {"user_id": "a"}}
            )
        assert counted.input_tokens == tokens > 20


async def test_what_cannot_be_counted_is_refused_by_name(with_weights: dict[str, Any], serving: Any) -> None:
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"model": "vote"}, 400, "vote"),
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "base", "odd": 1}, 400, "odd"),
        ({"model": "base", "messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "image"),
    ]
    async with serving(with_weights) as client:
        for body, status, named in wrong:
            answer = await client.post("/v1/messages/count_tokens", json={"messages": CHAT, **body})
            assert answer.status_code == status
            assert named in answer.json()["error"]["message"]
            assert answer.json()["type"] == "error", "as Anthropic's clients read it"
