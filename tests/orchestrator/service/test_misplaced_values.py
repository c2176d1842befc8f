"""Every place of a rich request takes every type of JSON value: answered or refused by name, never a fault of ours."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

VALUES: tuple[Any, ...] = (None, True, 0, -1, 2.5, "", "x", [], [None], ["x"], [[]], [{}], {}, {"x": {}}, {"type": {}})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEXT = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": [TEXT]},
    {"role": "user", "content": "a", "name": "n"},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "h", "refusal": None},
    {"role": "tool", "tool_call_id": "c", "content": [TEXT]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "h"}], "function_call": {"name": "f"}},
    {"role": "user", "content": [TEXT]},
]
RICH: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "words",
        "messages": MESSAGES,
        "max_tokens": 4,
        "stop": ["z"],
        "logit_bias": {"5": 1},
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "reasoning": {"effort": "low", "enabled": True},
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "chat_template_kwargs": {"a": 1},
        "stream_options": {"include_usage": True},
        "collegium": {"kind": "choice", "choices": {"A": "a", "B": "b"}, "explain": True},
    },
    "/v1/chat/completions ": {
        "model": "words",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 4,
        "functions": [FUNCTION],
        "function_call": {"name": "f"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    },
    "/v1/chat/completions  ": {
        "model": "words",
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 4,
        "structured_outputs": {"json": SCHEMA},
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"name": "f"}]}},
    },
    "/v1/completions": {"model": "words", "prompt": ["a"], "max_tokens": 4, "logprobs": 1, "echo": True},
    "/v1/responses": {
        "model": "words",
        "instructions": "a",
        "max_output_tokens": 16,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "h"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
            {"type": "additional_tools", "tools": [{"type": "function", "name": "g"}]},
            {"role": "user", "content": "a"},
        ],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA},
                  {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]}],
        "tool_choice": {"type": "function", "name": "f"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    },
    "/v1/responses ": {"model": "words", "input": [{"type": "item_reference", "id": "i"}]},
    "/v1/messages": {
        "model": "words",
        "max_tokens": 4,
        "system": [TEXT],
        "messages": [
            {"role": "user", "content": [TEXT]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "s"},
                                              {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [TEXT]}]},
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "metadata": {"user_id": "u"},
    },
    "/v1/messages/count_tokens": {"model": "words", "messages": [{"role": "user", "content": [TEXT]}]},
    "/v1/embeddings": {"model": "embedder", "input": ["a"], "encoding_format": "float"},
    "/v1/tokenize": {"model": "words", "messages": [{"role": "user", "content": "a"}]},
    "/v1/detokenize": {"model": "words", "tokens": [1]},
    "/v1/route": {"questions": ["a"]},
    "/v1/feedback": {"question": "a", "expert": "words", "score": 1},
    "/v1/batches": {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "/v1/jobs": {"pipeline": "merge", "request": {"recipe": {}, "out": "x"}},
    "/v1/runs/compare": {"runs": ["a", "b"]},
}  # fmt: skip

REFUSED = {"/v1/responses ": 400, "/v1/batches": 404, "/v1/jobs": 400, "/v1/runs/compare": 404, "/v1/route": 409}
REFUSED |= {"/v1/tokenize": 400, "/v1/detokenize": 400, "/v1/messages/count_tokens": 400}
"""What is answered to a whole body above that names things which are not there."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the body with another value at that place."""
    made = copy.deepcopy(body)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@pytest.mark.parametrize("route", RICH)
async def test_no_value_in_any_place_is_a_fault_of_ours(client: httpx.AsyncClient, route: str) -> None:
    body = RICH[route]
    whole = await client.post(route.strip(), json=body)
    assert whole.status_code == REFUSED.get(route, 200), whole.text  # else what is behind its fault is never reached
    faults = []
    for path in places(body):
        for value in VALUES:
            answer = await client.post(route.strip(), json=put(body, path, value))
            if answer.status_code >= 500:
                faults.append((".".join(map(str, path)), value))
            elif answer.status_code >= 400:
                assert answer.json()["error"]["message"]
    assert faults == []


def test_every_place_is_found_and_filled() -> None:
    assert [*places({"a": [1, {"b": 2}]})] == [("a",), ("a", 0), ("a", 1), ("a", 1, "b")]
    assert put({"a": [1, {"b": 2}]}, ("a", 1, "b"), {}) == {"a": [1, {"b": {}}]}
