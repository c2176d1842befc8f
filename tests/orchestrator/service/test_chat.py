"""The chat endpoint, asked as its users do: by the official client, by LangChain, by bare HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from orchestrator.service import chat

USER = [{"role": "user", "content": "Which word?"}]
EASY = "Easy.\nAnswer: a\nConfidence: 0.9"


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"model": "words", "messages": USER, **body})


async def events(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    response = await post(client, stream=True, **body)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


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


async def test_draws_differ_unless_a_seed_is_given(client: httpx.AsyncClient) -> None:
    async def say(**body: Any) -> list[str]:
        choices = (await post(client, model="coins", temperature=1, **body)).json()["choices"]
        return [choice["message"]["content"] for choice in choices]

    assert len({*await say(n=3), *await say(n=3)}) == 6
    assert await say(n=2, seed=7) == await say(n=2, seed=7)


async def test_several_streamed_choices(client: httpx.AsyncClient) -> None:
    texts = ["", ""]
    for event in await events(client, n=2):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [EASY, EASY]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"model": "nobody"}, 404, "does not exist"),
        ({"messages": []}, 400, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400,
            "images",
        ),
        ({"n": 0}, 400, "n: "),
        ({"n": 10**30}, 400, "n: "),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_logprobs": 2}, 400, "logprobs"),
        ({"frequency_penalty": 3}, 400, "frequency_penalty"),
        ({"surprise": 1}, 400, "surprise"),
        ({"response_format": {"type": "json_schema"}}, 400, "json_schema"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"model": "vote", "ignore_eos": True}, 400, "ignore_eos"),
        ({"messages": [{"role": "user", "content": "w " * 3000}]}, 400, "too long"),
        ({"messages": [{"role": "user", "content": "fail"}]}, 503, "the expert failed"),
        ({"model": "mixture"}, 409, "no profile"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_refusals_have_openais_form(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, told: str, stream: bool
) -> None:
    response = await post(client, stream=stream, **body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert told in error["message"]
    assert "/etc" not in response.text
    assert response.headers["x-request-id"].startswith("req-")


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


async def test_mixture_goes_to_whom_the_question_suits(profiled: dict[str, Any], serving: Any) -> None:
    async with serving(profiled) as client:
        for text, expert in (("Is the coin up?", "coins"), ("Which word?", "words")):
            reply = (await post(client, model="mixture", messages=[{"role": "user", "content": text}])).json()
            assert reply["collegium"]["experts"] == [expert]
            assert reply["collegium"]["ranking"][0]["expert"] == expert
        counted = await post(client, model="mixture", collegium={"kind": "text", "recruit": 2})
        told = counted.json()["collegium"]
        assert told["answer"] == "a"
        assert told["calls"] == 2
        assert {group["answer"]: group["experts"] for group in told["votes"]} == {"a": ["words"], "nothing": ["coins"]}
        route = (await client.post("/v1/route", json={"questions": ["Is the coin up?", "Which word?"]})).json()
        assert [ranking["ranking"][0]["expert"] for ranking in route["data"]] == ["coins", "words"]
        assert route["data"][0]["evidence"]
        for _ in range(60):
            judged = {"question": "Is the coin up?", "expert": "words", "score": 1}
            assert (await client.post("/v1/feedback", json=judged)).status_code == 200
        assert (await client.post("/v1/feedback", json={**judged, "expert": "x"})).status_code == 400


async def test_what_is_unlike_the_profile_goes_to_the_default_expert(profiled: dict[str, Any], serving: Any) -> None:
    for default in ("coins", "words"):
        profiled["service"]["default"] = default
        async with serving(profiled) as client:
            asked = [{"role": "user", "content": "Hello! Who are you?"}]
            told = (await post(client, model="mixture", messages=asked)).json()["collegium"]
            assert told["experts"] == [default]
            assert told["evidence"][0]["kind"] == "default"
            assert "unlike every profiled question" in told["evidence"][0]["label"]
            known = (await post(client, model="mixture")).json()["collegium"]
            assert known["experts"] == ["words"]
            assert "default" not in {one["kind"] for one in known["evidence"]}


async def test_a_long_system_prompt_does_not_hide_what_is_asked(profiled: dict[str, Any], serving: Any) -> None:
    system = {"role": "system", "content": "You are the assistant of a furniture shop. Be friendly and exact. " * 30}
    async with serving(profiled) as client:
        for text, expert in (("Is the coin up?", "coins"), ("Which word?", "words")):
            asked = [system, {"role": "user", "content": text}]
            assert (await post(client, model="mixture", messages=asked)).json()["collegium"]["experts"] == [expert]


@pytest.mark.parametrize("model", ["vote", "reconcile", "debate", "self-consistency", "moa", "mixture", "best"])
async def test_an_open_chat_has_no_forms_of_an_examination(
    settings: dict[str, Any], profiled: dict[str, Any], serving: Any, tmp_path: Path, model: str
) -> None:
    (tmp_path / "plain.py").write_text(
        "def reply(messages, seed):\n"
        "    text = messages[-1][1]\n"
        "    return 'FORM' if 'Answer: <' in text or 'Confidence' in text else 'Hello, I am an assistant.'\n"
    )
    settings["experts"] = {name: {"script": "plain:reply"} for name in ("words", "coins")}
    async with serving(settings) as client:
        reply = (await post(client, model=model, messages=[{"role": "user", "content": "Who are you?"}])).json()
        assert reply["choices"][0]["message"]["content"] == "Hello, I am an assistant."


@pytest.mark.parametrize("model", ["vote", "reconcile", "single", "best", "mixture"])
async def test_stop_and_the_reason_of_the_end_are_kept_under_every_method(
    profiled: dict[str, Any], serving: Any, model: str
) -> None:
    async with serving(profiled) as client:
        whole = (await post(client, model=model)).json()["choices"][0]
        assert whole["finish_reason"] == "stop"
        cut = (await post(client, model=model, max_tokens=2)).json()["choices"][0]
        assert cut["finish_reason"] == "length"
        stopped = (await post(client, model=model, stop="Answer")).json()["choices"][0]
        assert "Answer" in whole["message"]["content"]
        assert "Answer" not in stopped["message"]["content"]


@pytest.mark.parametrize("model", ["vote", "reconcile", "debate", "self-consistency"])
async def test_discussions_answer_within_the_conversation_and_tell_as_they_go(
    client: httpx.AsyncClient, model: str
) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which word?"}]
    reply = (await post(client, model=model, messages=asked, collegium={"kind": "text", "explain": True})).json()
    told = reply["collegium"]
    assert told["method"] == model
    assert told["transcript"]["question"]["question"] == "Which word?"
    assert reply["usage"]["completion_tokens"] >= 5
    assert reply["choices"][0]["message"]["content"]
    streamed = await events(client, model=model, messages=asked, collegium={"kind": "text"})
    heard = [event["collegium"]["event"] for event in streamed if "event" in event.get("collegium", {})]
    assert len(heard) == told["calls"]
    assert streamed[-1]["collegium"]["answer"] == told["answer"]
    assert "transcript" not in streamed[-1]["collegium"]


async def test_the_conversation_reaches_the_experts_of_a_discussion(client: httpx.AsyncClient) -> None:
    asked = [{"role": "system", "content": "Be brief."}, *USER, {"role": "assistant", "content": "a"}]
    history = [*asked, {"role": "user", "content": "And another word?"}]
    with_it = (await post(client, model="vote", messages=history, collegium={"kind": "text"})).json()
    without = (await post(client, model="vote", messages=history[-1:], collegium={"kind": "text"})).json()
    # Each of the two experts reads "Be brief.", "Which word?" and "a", five words, besides.
    assert with_it["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"] == 2 * 5


async def test_methods_that_need_a_profile_have_it(profiled: dict[str, Any], serving: Any) -> None:
    async with serving(profiled) as client:
        for model in ("best", "reconcile", "weighted-vote", "symbolic-moe"):
            reply = await post(client, model=model, collegium={"kind": "text"})
            assert reply.status_code == 200, (model, reply.text)
            assert reply.json()["collegium"]["method"] == model


async def test_only_the_usage_has_no_choices_and_what_is_said_on_the_way_is_reasoning(
    client: httpx.AsyncClient,
) -> None:
    for model, usage in (("words", False), ("vote", False), ("vote", True)):
        extra = {"stream_options": {"include_usage": True}} if usage else {}
        found = await events(client, model=model, collegium={"kind": "text"}, **extra)
        empty = [event for event in found if not event["choices"]]
        assert [event["usage"]["total_tokens"] > 0 for event in empty] == [True] * usage
        deltas = [event["choices"][0]["delta"] for event in found if event["choices"]]
        reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
        assert ("words: Easy." in reasoning) == (model == "vote")
        (last,) = [event for event in found if event["choices"] and event["choices"][0]["finish_reason"]]
        assert ("answer" in last.get("collegium", {})) == (model == "vote")


async def test_a_stream_that_waits_says_that_it_is_alive(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "ALIVE", 0.05)
    body = {"model": "words", "messages": [{"role": "user", "content": "nap"}], "stream": True}
    text = (await client.post("/v1/chat/completions", json=body)).text
    assert text.startswith(": waiting\n\n")
    assert text.endswith("data: [DONE]\n\n")
    body["messages"] = [{"role": "user", "content": "fail nap"}]
    late = await client.post(
        "/v1/chat/completions", json={**body, "messages": [{"role": "user", "content": "w " * 3000}]}
    )
    assert late.status_code == 400
