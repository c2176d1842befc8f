"""Text completions, in OpenAI's older form."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest


async def complete(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/completions", json={"model": "words", "prompt": "Once upon a coin", **fields})


async def test_a_prompt_is_gone_on_with_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await complete(client, max_tokens=2)
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["object"] == "text_completion"
    (choice,) = body["choices"]
    assert choice == {"index": 0, "text": "Hard to", "logprobs": None, "finish_reason": "length"}
    assert body["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert len((await complete(client)).json()["choices"][0]["text"].split()) == 7  # fewer than the default of 16


async def test_several_prompts_and_choices_come_in_order_and_are_counted_once(client: httpx.AsyncClient) -> None:
    body = (await complete(client, prompt=["a word", "a coin"], n=2, max_tokens=2)).json()
    assert [one["index"] for one in body["choices"]] == [0, 1, 2, 3]
    assert [one["text"] for one in body["choices"]] == ["Easy.\nAnswer:"] * 2 + ["Hard to"] * 2
    assert body["usage"]["prompt_tokens"] == 4
    assert body["usage"]["completion_tokens"] == 8


async def test_a_prompt_is_scored_token_by_token(client: httpx.AsyncClient) -> None:
    body = (await complete(client, echo=True, logprobs=2, max_tokens=1)).json()
    choice = body["choices"][0]
    assert choice["text"] == "Once upon a coinHard"
    found = choice["logprobs"]
    assert found["tokens"] == ["Once", " upon", " a", " coin", "Hard"]
    assert found["token_logprobs"][0] is None
    assert found["top_logprobs"][0] is None
    assert all(value < 0 for value in found["token_logprobs"][1:])
    assert all(token in top for token, top in zip(found["tokens"][1:], found["top_logprobs"][1:], strict=True))
    assert found["text_offset"] == [0, 4, 9, 11, 16]
    assert body["usage"]["completion_tokens"] == 1
    only = (await complete(client, echo=True, logprobs=1, max_tokens=0)).json()
    assert only["choices"][0]["text"] == "Once upon a coin"
    assert len(only["choices"][0]["logprobs"]["tokens"]) == 4
    assert only["usage"]["completion_tokens"] == 0


async def test_the_probabilities_of_a_prompts_tokens_are_told_in_vllms_form(client: httpx.AsyncClient) -> None:
    chat = {"model": "words", "messages": [{"role": "user", "content": "Once upon a coin"}], "prompt_logprobs": 2}
    answer = await client.post("/v1/chat/completions", json=chat)
    first, *others = answer.json()["prompt_logprobs"]
    assert first is None
    assert [next(one["decoded_token"] for one in place.values()) for place in others] == [" upon", " a", " coin"]
    assert all([one["rank"] for one in place.values()] == [1, 2] for place in others)
    assert all(isinstance(int(id), int) and one["logprob"] < 0 for place in others for id, one in place.items())
    again = await client.post("/v1/chat/completions", json=chat | {"temperature": 0})
    assert again.json()["prompt_logprobs"] == answer.json()["prompt_logprobs"]
    stored = await client.post("/v1/chat/completions", json=chat | {"temperature": 0})
    assert stored.json()["prompt_logprobs"] == answer.json()["prompt_logprobs"]
    choices = (await complete(client, prompt=["a word", "a coin"], prompt_logprobs=0)).json()["choices"]
    assert [len(choice["prompt_logprobs"]) for choice in choices] == [2, 2]
    assert "prompt_logprobs" not in (await complete(client)).json()["choices"][0]
    for wrong in (
        {"stream": True},
        {"stream": True, "prompt_logprobs": 0},
        {"prompt_logprobs": 21},
        {"prompt_logprobs": -1},
        {"model": "vote"},
    ):
        refused = await client.post("/v1/chat/completions", json={**chat, **wrong})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt_logprobs"), wrong
    assert (await complete(client, echo=True, prompt_logprobs=1)).status_code == 400


async def test_what_is_no_completion_is_refused_by_name(client: httpx.AsyncClient) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),  # a script has no token ids
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a"] * 1025}, "prompt"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages"),
        ({"model": "vote"}, "model"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ]
    for fields, named in wrong:
        answer = await complete(client, **fields)
        assert answer.status_code == 400, fields
        assert named in answer.json()["error"]["message"], answer.json()
    assert (await complete(client, model="nobody")).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"suffix": None},
        {"suffix": ""},
        {"best_of": 1},
        {"logprobs": None},
        {"logprobs": False},
        {"echo": False},
        {"max_tokens": 0},
        {"max_tokens": None},
        {"stop": ["\n\n"]},
        {"user": "ann"},
        {"seed": 1234, "temperature": 0},
        {"logit_bias": {}},
        {"stream_options": None},
    ],
)
async def test_what_changes_nothing_is_accepted(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await complete(client, **fields)
    assert answer.status_code == 200, answer.json()
    assert answer.json()["choices"][0]["text"].startswith("Hard to say.")


def test_the_official_client_reads_whole_and_streamed_completions(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "words", "prompt": ["a word", "a coin"], "echo": True, "logprobs": 1}
        whole = client.completions.create(**asked)
        parts = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert parts[-1].usage == whole.usage
    for index in (0, 1):
        streamed = [one for part in parts for one in part.choices if one.index == index]
        assert "".join(one.text for one in streamed) == whole.choices[index].text
        assert streamed[-1].finish_reason == "stop"
        logprobs = [one.logprobs for one in streamed if one.logprobs]
        tokens = [token for one in logprobs for token in one.tokens or ()]
        offsets = [place for one in logprobs for place in one.text_offset or ()]
        expected = whole.choices[index].logprobs
        assert expected is not None
        assert (tokens, offsets) == (expected.tokens, expected.text_offset)


async def test_a_chats_reply_can_begin_with_the_message_it_goes_on_with(client: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "word?"}, {"role": "assistant", "content": "I say coin: "}]
    asked = {"model": "words", "messages": messages, "continue_final_message": True, "echo": True}
    answer = await client.post("/v1/chat/completions", json=asked)
    assert answer.json()["choices"][0]["message"]["content"].startswith("I say coin: Hard to say.")
    answer = await client.post("/v1/chat/completions", json={**asked, "continue_final_message": False})
    assert answer.status_code == 400
    assert "echo" in answer.json()["error"]["message"]
