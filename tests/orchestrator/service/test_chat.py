"""The chat endpoint, asked as its users do: by the official client, by LangChain, by bare HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

USER = [{"role": "user", "content": "Which word?"}]
EASY = "Easy.\nAnswer: a\nConfidence: 0.9"


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


def test_the_official_client_sync(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        assert {"words", "coins", "mixture", "vote"} <= {model.id for model in client.models.list()}
        assert client.models.retrieve("words").owned_by == "collegium"
        reply = client.chat.completions.create(
            model="words",
            messages=USER,
            n=2,
            logprobs=True,
            top_logprobs=2,
            temperature=0,  # type: ignore[arg-type]
        )
        assert [choice.message.content for choice in reply.choices] == [EASY] * 2
        assert reply.usage
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (2, 10)
        assert reply.choices[0].logprobs
        assert reply.choices[0].logprobs.content
        assert len(reply.choices[0].logprobs.content[0].top_logprobs) == 2
        again = [*USER, reply.choices[0].message.model_dump(), *USER]
        followed = client.chat.completions.create(model="words", messages=again)  # type: ignore[arg-type]
        assert followed.choices[0].message.content == EASY
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="nobody", messages=USER)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError, match="temperature"):
            client.chat.completions.create(model="words", messages=USER, temperature=3)  # type: ignore[arg-type]


async def test_the_official_client_async_and_streaming(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="words",
            messages=USER,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == EASY
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens == 5
        assert len(chunks) > 6  # as it is generated, not at the end
        replies = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model=("words", "coins")[n % 2],
                    messages=[{"role": "user", "content": f"word {n}"}],
                    temperature=0,
                )
                for n in range(40)
            )
        )
        assert {reply.choices[0].message.content for reply in replies[::2]} == {EASY}


async def test_langchain(url: str) -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model="words", max_retries=0)  # type: ignore[arg-type]
    assert (await chat.ainvoke("Which word?")).content == EASY
    assert "".join([str(chunk.content) async for chunk in chat.astream("Which word?")]) == EASY
    await chat.root_async_client.close()
    chat.root_client.close()


async def test_what_was_asked_for_is_kept_to(client: httpx.AsyncClient) -> None:
    one = (await post(client, max_tokens=2)).json()["choices"][0]
    assert (one["message"]["content"], one["finish_reason"]) == ("Easy.\nAnswer:", "length")
    long = (await post(client, max_tokens=9, ignore_eos=True)).json()
    assert (long["usage"]["completion_tokens"], long["choices"][0]["finish_reason"]) == (9, "length")
    stopped = (await post(client, stop=["Answer", "x"])).json()["choices"][0]
    assert stopped["message"]["content"].strip() == "Easy."
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    kept = (await post(client, response_format=form)).json()["choices"][0]["message"]["content"]
    assert isinstance(json.loads(kept)["x"], int)
    whole = [{"role": "system", "content": "s"}, *USER, {"role": "assistant", "content": "b"}]
    asked = [*whole, {"role": "user", "content": [{"type": "text", "text": "history"}]}]
    told = (await post(client, messages=asked)).json()["choices"][0]["message"]["content"]
    assert told == "system:s | user:Which word? | assistant:b | user:history"


async def test_a_full_service_says_when_to_come_back(settings: dict[str, Any], serving: Any) -> None:
    settings["service"]["queue"] = 1
    async with serving(settings) as client:
        slow = asyncio.create_task(post(client, messages=[{"role": "user", "content": "nap"}]))
        await asyncio.sleep(0.1)
        refused = await post(client)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert (await slow).status_code == 200


async def test_a_client_that_leaves_ends_the_generation(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        body = {"model": "words", "messages": [{"role": "user", "content": "slow"}], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_bytes():
                break
        wanted = (
            'collegium:num_requests_running{expert="words"} 0.0',
            'collegium:request_failure_total{model="words",status="499"} 1.0',
        )
        for _ in range(1500):
            metrics = (await client.get("/metrics")).text
            if all(line in metrics for line in wanted):
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(metrics)
    assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


def test_chats_under_way_end_before_the_service_does(settings: dict[str, Any], on_socket: Any) -> None:
    body = {"model": "words", "messages": [{"role": "user", "content": "nap"}]}
    with ThreadPoolExecutor() as threads:
        with on_socket(settings) as url:
            asked = threads.submit(httpx.post, f"{url}/v1/chat/completions", json=body)
            time.sleep(0.2)
        assert asked.result().status_code == 200
