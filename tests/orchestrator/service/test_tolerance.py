# ruff: noqa: E501  (tables are read by the line)
"""What clients of many makes send is answered, or refused in one sentence that names the field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from orchestrator.service.schema import ChatBody

HELLO = [{"role": "user", "content": "Which word?"}]
FUNCTION = {"name": "look", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {"name": "server/other:2"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def read(**body: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "m", "messages": HELLO, **body})


def sampling(**body: Any) -> Any:
    return read(**body).sampling(100, 1.0)


@pytest.mark.parametrize("name", sorted(ChatBody.model_fields.keys() - {"model", "messages", "collegium"}))
def test_null_means_absent(name: str) -> None:
    assert read(**{name: None}) == read()


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": -1}, {"max_tokens": 0}, {"max_completion_tokens": 0}, {"top_k": -1}, {"logit_bias": {}},
        {"presence_penalty": 0}, {"frequency_penalty": 0.0}, {"tools": []}, {"modalities": ["text"]}, {"best_of": 1},
        {"echo": False}, {"skip_special_tokens": True}, {"prompt_logprobs": 0}, {"top_logprobs": 0},
        {"stream_options": {"include_usage": True}}, {"user": ""}, {"metadata": {}}, {"do_sample": True},
    ],
    ids=str,
)  # fmt: skip
def test_values_that_change_nothing_are_accepted_in_silence(body: dict[str, Any]) -> None:
    chat = read(**body)
    assert chat == read()
    assert chat.ignored == ()


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"top_p": 0}, {"temperature": 0.0, "top_p": 1.0}),
        ({"do_sample": False, "temperature": 0.9}, {"temperature": 0.0}),
        ({"max_new_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": 32_000}, {"max_tokens": 100}),
        ({"stop_sequences": ["a", "a"]}, {"stop": ("a",)}),
        ({"stop": [str(n) for n in range(40)]}, {"stop": tuple(str(n) for n in range(40))}),
        ({"temperature": "0.5", "seed": 1.0, "max_tokens": "16"}, {"temperature": 0.5, "max_tokens": 16}),
        ({"logit_bias": {"7": -100, "3": 1}}, {"logit_bias": ((3, 1.0), (7, -100.0))}),
        ({"min_p": 0.1, "repeat_penalty": 1.1}, {"min_p": 0.1, "repetition_penalty": 1.1}),
        ({"enable_thinking": False}, {"template": '{"enable_thinking": false}'}),
        ({"think": True}, {"template": '{"enable_thinking": true}'}),
        ({"thinking": {"type": "disabled"}}, {"template": '{"enable_thinking": false}'}),
        ({"reasoning_effort": "low"}, {"template": '{"reasoning_effort": "low"}'}),
        ({"reasoning": {"effort": "none"}}, {"template": '{"enable_thinking": false}'}),
        ({"chat_template_kwargs": {"a": 1}, "think": False}, {"template": '{"a": 1, "enable_thinking": false}'}),
        ({"guided_regex": "a+"}, {"structured": '{"regex": "a+"}'}),
        ({"guided_choice": ["a", "b"]}, {"structured": '{"choice": ["a", "b"]}'}),
        ({"guided_json": '{"type": "object"}'}, {"structured": '{"json": {"type": "object"}}'}),
        ({"structured_outputs": {"json": {"type": "object"}, "regex": None}}, {"structured": '{"json": {"type": "object"}}'}),
        ({"format": "json"}, {"structured": '{"json": {"type": "object"}}'}),
        ({"response_format": {"type": "json_object", "schema": {"type": "array"}}}, {"structured": '{"json": {"type": "array"}}'}),
        ({"response_format": {"type": "regex", "value": "b"}}, {"structured": '{"regex": "b"}'}),
        ({"response_format": {"type": "text"}}, {"structured": None}),
    ],
    ids=str,
)  # fmt: skip
def test_other_servers_spellings_mean_the_same(body: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = sampling(**body)
    assert {name: getattr(found, name) for name in wanted} == wanted


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


def turns(*messages: dict[str, Any], **body: Any) -> ChatBody:
    return read(messages=[*HELLO, *messages], **body)


def test_old_clients_functions_are_tools() -> None:
    chat = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "1"},
        functions=[FUNCTION],
        function_call={"name": "look"},
    )
    assert [tool.function.name for tool in chat.offered_tools] == ["look"]
    call, result = chat.turns[1]["tool_calls"][0], chat.turns[2]
    assert call["function"] == {"name": "look", "arguments": "{}"}
    assert result["tool_call_id"] == call["id"]
    assert not isinstance(chat.tool_choice, str)


def test_results_without_ids_belong_to_the_calls_in_their_order() -> None:
    called = {"role": "assistant", "tool_calls": [{"id": "", "function": {"name": n, "arguments": "{}"}} for n in "ab"]}
    results = [{"role": "tool", "tool_call_id": "", "content": str(number)} for number in (1, 2)]
    chat = turns(called, *results, tools=[TOOL])
    ids = [call["id"] for call in chat.turns[1]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [chat.turns[place]["tool_call_id"] for place in (2, 3)] == ids


def test_a_reply_of_the_official_client_can_be_sent_back() -> None:
    from openai.types.chat import ParsedChatCompletionMessage

    parsed = ParsedChatCompletionMessage[None].model_validate(
        {"role": "assistant", "content": None, "refusal": "No.", "annotations": [], "parsed": None, "tool_calls": None}
    )
    assert turns(parsed.model_dump(), *HELLO).conversation[1] == ("assistant", "No.")


@pytest.mark.parametrize(
    ("choice", "names", "wanted"),
    [
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}, ["server/other:2"], "required"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}, ["look"], "auto"),
        ("any", ["look", "server/other:2"], "required"),
        ({"type": "any"}, ["look", "server/other:2"], "required"),
        ({"type": "none"}, [], "none"),
    ],
)  # fmt: skip
def test_choices_of_tools_as_clients_spell_them(choice: Any, names: list[str], wanted: str) -> None:
    chat = read(tools=[TOOL, OTHER], tool_choice=choice)
    assert ([tool.function.name for tool in chat.offered_tools], chat.tool_choice) == (names, wanted)


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
        ({"modalities": ["text", "audio"]}, "modalities"), ({"best_of": 2}, "best_of"), ({"guided_grammar": "x"}, "guided_grammar"),
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
