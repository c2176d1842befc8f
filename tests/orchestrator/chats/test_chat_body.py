# ruff: noqa: E501  (tables are read by the line)
"""Bodies of a chat, as other clients write them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.chats.chat_body import ChatBody

HELLO = [{"role": "user", "content": "Which word?"}]


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
        {"echo": False}, {"skip_special_tokens": True}, {"prompt_logprobs": False}, {"top_logprobs": 0},
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
        ({"guided_grammar": 'root ::= "a"'}, {"structured": '{"grammar": "root ::= \\"a\\""}'}),
        ({"structured_outputs": {"grammar": "root ::= [a]"}}, {"structured": '{"grammar": "root ::= [a]"}'}),
        ({"response_format": {"type": "grammar", "grammar": "root ::= [a]"}}, {"structured": '{"grammar": "root ::= [a]"}'}),
        ({"random_seed": 7}, {}),
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
