# ruff: noqa: E501  (tables are read by the line)
"""What clients of many makes send is answered, or refused in one sentence that names the field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from orchestrator.chats.chat_body import ChatBody

HELLO = [{"role": "user", "content": "Which word?"}]
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {"name": "server/other:2"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def read(**body: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "m", "messages": HELLO, **body})


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"user": "ann", "prompt_cache_key": "k"}, ("prompt_cache_key", "user")),
        ({"store": True, "metadata": {"a": "b"}, "verbosity": "low"}, ("metadata", "store", "verbosity")),
        ({"chat_id": "c", "keep_alive": "5m", "options": {"num_ctx": 4096}}, ("chat_id", "keep_alive", "options")),
        ({"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]}, ("tools.cache_control",)),
        ({"messages": [{**HELLO[0], "id": 1, "opts": {"visible": False}}]}, ("messages.id", "messages.opts")),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]},
         ("messages.content.cache_control",)),
        ({"messages": [*HELLO, {"role": "assistant", "content": "b", "reasoning": "x"}, *HELLO]}, ("messages.reasoning",)),
    ],
    ids=str,
)  # fmt: skip
def test_fields_without_meaning_are_ignored_and_named(body: dict[str, Any], names: tuple[str, ...]) -> None:
    assert read(**body).ignored == names


async def test_what_was_ignored_stands_in_a_header_and_a_strict_service_refuses_it(client: httpx.AsyncClient) -> None:
    body = {"model": "words", "messages": HELLO, "user": "ann", "chat_id": "c"}
    for stream in (False, True):
        answer = await client.post("/v1/chat/completions", json={**body, "stream": stream})
        assert answer.status_code == 200
        assert answer.headers["x-collegium-ignored"] == "chat_id, user"
    plain = await client.post("/v1/chat/completions", json={"model": "words", "messages": HELLO})
    assert "x-collegium-ignored" not in plain.headers
    strict = await client.post("/v1/chat/completions", json=body, headers={"X-Collegium-Strict": "true"})
    assert (strict.status_code, strict.json()["error"]["param"]) == (400, "chat_id")


async def test_a_strict_configuration_refuses_for_everybody(settings: dict[str, Any], serving: Any) -> None:
    settings["service"]["strict"] = True
    async with serving(settings) as client:
        body = {"model": "words", "messages": HELLO}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        assert (await client.post("/v1/chat/completions", json={**body, "user": "ann"})).status_code == 400


async def test_tools_and_a_schema_together_give_a_call_or_an_answer(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"model": "words", "messages": HELLO, "tools": [TOOL]}
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    message = answer.json()["choices"][0]["message"]
    assert message.get("tool_calls") or "a" in message["content"]
    body["response_format"] = {"type": "regex", "value": "a+"}
    refused = await client.post("/v1/chat/completions", json=body)
    assert (refused.status_code, "response_format" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"stop": ""}, "stop"), ({"stop": [""]}, "stop"), ({"temperature": 2.5}, "temperature"), ({"n": 0}, "n"),
        ({"seed": 2**64}, "seed"), ({"tool_resources": {}}, "tool_resources"), ({"extra_body": {"a": 1}}, "extra_body"),
        ({"messages": []}, "messages"), ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "images"),
        ({"modalities": ["text", "audio"]}, "modalities"), ({"best_of": 2}, "best_of"), ({"guided_grammar": "x"}, "root ::="),
        ({"guided_json": {}, "response_format": {"type": "json_object"}}, "json"), ({"logit_bias": {"the": 1}}, "logit_bias"),
        ({"max_tokens": 3, "max_new_tokens": 4}, "max_new_tokens"), ({"chat_template_kwargs": {"tokenize": True}}, "tokenize"),
        ({"continue_final_message": True}, "continue_final_message"), ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"messages": [*HELLO, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "a", "arguments": {}}}]}]},
         "messages.1.tool_calls.0.function.arguments"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [OTHER]}}}, "server/other:2"),
        ({"top_logprobs": 3}, "top_logprobs"), ({"reasoning_effort": 3}, "reasoning_effort"), ({"thinking": "yes"}, "thinking"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, Any], named: str
) -> None:
    answer = await client.post("/v1/chat/completions", json={"model": "words", "messages": HELLO, **body})
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]["message"]
    assert named in message
    assert "\n" not in message


def schema_format(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": True}, "temperature"), ({"max_tokens": True}, "max_tokens"), ({"n": True}, "n"),
        ({"seed": False}, "seed"), ({"enable_thinking": "maybe"}, "enable_thinking"), ({"think": 3}, "think"),
        ({"do_sample": "x"}, "do_sample"), ({"reasoning": {"enabled": "x"}}, "reasoning.enabled"),
        ({"min_tokens": 5, "max_tokens": 3}, "min_tokens"), ({"top_logprobs": 3}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"), ({"functions": "f"}, "functions"),
        ({"weird\nkey": 1}, "weird?key"), ({"reasoning_effort": "foo"}, "reasoning_effort"),
        ({"reasoning": {"effort": "much"}}, "reasoning_effort"), ({"think": "much"}, "think"),
        ({"max_tokens": 5, "max_completion_tokens": 9}, "max_tokens"), ({"guided_regex": "("}, "response_format"),
        ({"guided_grammar": "start: x"}, "response_format"), ({"guided_grammar": "root ::= [a]"}, "response_format"),
        (schema_format({"type": "nonsense"}), "response_format"), (schema_format({"required": "a"}), "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "nonsense"}}}],
          "tool_choice": "required"}, "tools"),
        ({"model": "vote", "n": 2}, "n"), ({"model": "vote", "logprobs": True}, "logprobs"),
        ({"model": "vote", "tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"model": "vote", "messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, "messages"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_refusal_says_which_parameter(client: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    answer = await client.post("/v1/chat/completions", json={"model": "words", "messages": HELLO, **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert "\n" not in answer.json()["error"]["message"]


async def test_a_bad_schema_is_refused_and_the_expert_lives_on(client: httpx.AsyncClient) -> None:
    body = {"model": "words", "messages": HELLO}
    for schema in ({"$ref": "#/x"}, {"properties": 3}, {"anyOf": 3}, {"type": "array", "minItems": 2, "items": [1]}):
        answer = await client.post("/v1/chat/completions", json={**body, **schema_format(schema)})
        assert answer.status_code == 400, (schema, answer.text)
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


async def test_a_prompt_that_is_too_long_is_named_as_its_endpoint_names_it(client: httpx.AsyncClient) -> None:
    for path, body in (("completions", {"prompt": "word " * 9000}), ("responses", {"input": "word " * 9000})):
        answer = await client.post(f"/v1/{path}", json={"model": "words", **body})
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", next(iter(body)))


def test_switches_mean_what_they_say() -> None:
    assert read(max_tokens=7, max_completion_tokens=7).max_completion_tokens == 7
    assert read(reasoning_effort="default").chat_template_kwargs == {}
    assert read(reasoning_effort="xhigh").chat_template_kwargs == {"reasoning_effort": "xhigh"}
    for off in (False, "false", "False", 0):
        assert read(enable_thinking=off).chat_template_kwargs == {"enable_thinking": False}
        assert read(do_sample=off, temperature=0.7).temperature == 0
    assert read(think="high").chat_template_kwargs == {"reasoning_effort": "high"}
    assert read(thinking={"type": "enabled", "budget_tokens": 9}).ignored == ("thinking.budget_tokens",)
    assert read(reasoning={"effort": "low", "max_tokens": 9}).ignored == ("reasoning.max_tokens",)
