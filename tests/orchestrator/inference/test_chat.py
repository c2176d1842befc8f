"""`ExpertChat`: however it is called, the engine sees batches, and nothing deadlocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field, ValidationError

from orchestrator.errors import PromptTooLong, RequestError
from orchestrator.inference.chat import ExpertChat
from orchestrator.inference.engines.scripted import ScriptedEngine, ScriptedOptions, echo
from orchestrator.inference.request import Delta
from orchestrator.inference.schedule.pool import LocalPool


class Watched(ScriptedEngine):
    """Notes how many replies advanced in each step."""

    batches: list[int]

    def __init__(self) -> None:
        super().__init__(ScriptedOptions(step_seconds=0.002), echo)
        self.batches = []

    def step(self) -> list[Delta]:
        deltas = super().step()
        if deltas:
            self.batches.append(len(deltas))
        return deltas

    @property
    def mean_batch(self) -> float:
        return sum(self.batches) / len(self.batches)


@pytest.fixture
def engine() -> Watched:
    return Watched()


@pytest.fixture
def pool(make_pool: Callable[..., LocalPool], engine: Watched) -> LocalPool:
    return make_pool(make_engine=lambda: engine)


@pytest.fixture
def chat(pool: LocalPool, play: Any) -> ExpertChat:
    return ExpertChat(pool=pool, expert=play.expert("a"))


PROMPTS = [f"count to {number} and then stop" for number in range(200)]


async def test_two_hundred_unrelated_coroutines_become_batches(chat, engine) -> None:
    async def one(prompt: str) -> str:
        return (await chat.ainvoke(prompt)).content

    assert await asyncio.gather(*map(one, PROMPTS)) == PROMPTS
    assert engine.mean_batch > 20  # of at most 32
    assert chat.pool.timeline.progress().loads == 1


async def test_abatch_becomes_batches(chat, engine) -> None:
    assert [reply.content for reply in await chat.abatch(list(PROMPTS))] == PROMPTS
    assert engine.mean_batch > 20


def test_batch_becomes_batches(chat, engine) -> None:
    assert [reply.content for reply in chat.batch(list(PROMPTS))] == PROMPTS
    assert engine.mean_batch > 20
    assert chat.batch([]) == []


def test_invoke_from_fifty_threads_becomes_batches(chat, engine) -> None:
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda prompt: chat.invoke(prompt).content, PROMPTS))
    assert replies == PROMPTS
    assert engine.mean_batch > 8


async def test_chains_become_batches(chat, engine) -> None:
    chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")]) | chat
    replies = await asyncio.gather(*((chain | StrOutputParser()).ainvoke({"question": prompt}) for prompt in PROMPTS))
    assert replies == PROMPTS
    assert engine.mean_batch > 20


async def test_blocking_calls_on_a_running_loop_block_it_and_return(chat) -> None:
    before = asyncio.create_task(chat.ainvoke("from a coroutine"))
    await asyncio.sleep(0)
    assert chat.invoke("on the loop").content == "on the loop"
    assert [reply.content for reply in chat.batch(["one", "two"])] == ["one", "two"]
    assert "".join(chunk.text for chunk in chat.stream("three four")) == "three four"
    assert (await before).content == "from a coroutine"


async def test_blocking_calls_on_the_pools_own_thread_are_refused(chat) -> None:
    told: list[type[BaseException]] = []
    calls: list[Callable[[], Any]] = [
        lambda: chat.invoke("x"),
        lambda: chat.batch(["x"]),
        lambda: list(chat.stream("x")),
    ]
    done = threading.Event()

    def on_that_thread() -> None:
        for call in calls:
            try:
                call()
            except RequestError as error:
                told.append(type(error))
        done.set()

    chat.pool._post([on_that_thread])
    assert await asyncio.to_thread(done.wait, 10)
    assert told == [RequestError] * 3


async def test_cancelling_one_call_leaves_the_others(chat, engine) -> None:
    tasks = [asyncio.create_task(chat.ainvoke(prompt)) for prompt in PROMPTS]
    await asyncio.sleep(0.02)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome.content for outcome in outcomes[1::2]] == PROMPTS[1::2]
    left = sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert left > 50
    assert chat.pool.ledger.count() <= 200 - left + 64  # what was running may have been on its way


async def test_a_reader_who_leaves_a_stream_frees_the_engine(pool, play, engine) -> None:
    chat = ExpertChat(pool=pool, expert=play.expert("a"), max_tokens=1500)
    async for _ in chat.astream("word " * 1500):
        break
    steps = len(engine.batches)
    await ExpertChat(pool=pool, expert=play.expert("b")).ainvoke("hello")  # the swap waits for an empty engine
    assert len(engine.batches) < steps + 500


async def test_a_failed_input_of_a_batch_withdraws_the_rest_unless_exceptions_are_returned(chat) -> None:
    prompts = ["fine", "word " * 3000, "also fine"]
    with pytest.raises(PromptTooLong):
        await chat.abatch(list(prompts))
    with pytest.raises(PromptTooLong):
        chat.batch(list(prompts))
    outcomes = await chat.abatch(list(prompts), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [AIMessage, PromptTooLong, AIMessage]


async def test_callbacks_and_usage(chat) -> None:
    class Tokens(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            self.heard.append(token)

    usage, tokens = UsageMetadataCallbackHandler(), Tokens()
    reply = await chat.ainvoke([SystemMessage("be brief"), HumanMessage("one two three")], {"callbacks": [usage]})
    assert reply.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert usage.usage_metadata == {"a": reply.usage_metadata}
    assert reply.response_metadata["finish_reason"] == "stop"
    assert not reply.response_metadata["cached"]
    streaming = ExpertChat(pool=chat.pool, expert=chat.expert, streaming=True)
    await streaming.ainvoke("four five", {"callbacks": [tokens]})
    assert tokens.heard[:2] == ["four", " five"]


async def test_logprobs_come_in_openais_layout(pool, play) -> None:
    chat = ExpertChat(pool=pool, expert=play.expert("a"), logprobs=3)
    content = (await chat.ainvoke("yes no")).response_metadata["logprobs"]["content"]
    assert [token["token"] for token in content] == ["yes", " no"]
    assert len(content[0]["top_logprobs"]) == 3


async def test_the_length_limit_and_stop_words_hold(pool, play) -> None:
    chat = ExpertChat(pool=pool, expert=play.expert("a"), max_tokens=2, stop=["three"])
    reply = await chat.ainvoke("one two three four")
    assert (reply.content, reply.response_metadata["finish_reason"]) == ("one two", "length")
    assert (await chat.ainvoke("one two three four", max_tokens=9)).content == "one two "
    assert (await chat.ainvoke("one two three four", max_tokens=9, stop=["two"])).content == "one "


class Person(BaseModel):
    """Somebody."""

    name: str = Field(description="the name")
    age: int


@pytest.mark.parametrize("schema", [Person, Person.model_json_schema()], ids=["pydantic", "JSON schema"])
@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
async def test_structured_output(chat, schema, method) -> None:
    told = await chat.with_structured_output(schema, method=method).ainvoke('{"name": "Ada", "age": 36}')
    assert told == (Person(name="Ada", age=36) if schema is Person else {"name": "Ada", "age": 36})


async def test_structured_output_with_the_raw_reply(chat) -> None:
    told = await chat.with_structured_output(Person, include_raw=True).ainvoke('{"name": "Ada", "age": "old"}')
    assert isinstance(told["raw"], AIMessage)
    assert (told["parsed"], "age" in str(told["parsing_error"])) == (None, True)


async def test_what_an_expert_cannot_take_is_refused_by_name(pool, play, chat) -> None:
    with pytest.raises(RequestError, match="'remove'"):
        await chat.ainvoke([HumanMessage("x"), RemoveMessage("y")])
    with pytest.raises(RequestError, match="'image_url'"):
        await chat.ainvoke([HumanMessage([{"type": "image_url", "image_url": {"url": "data:"}}])])
    with pytest.raises(RequestError, match="'temprature'"):
        await chat.ainvoke("x", temprature=1)
    with pytest.raises(ValidationError, match="max_token"):
        ExpertChat(pool=pool, expert=play.expert("a"), max_token=5)
    with pytest.raises(RequestError, match="tool_choice needs tools"):
        await chat.ainvoke("x", tool_choice="required")


async def test_samples_of_one_prompt_differ_by_draw_and_repeat_in_the_next_run(pool, play) -> None:
    chat = ExpertChat(pool=pool, expert=play.expert("a"), temperature=0.8)

    async def keys() -> list[str]:
        with pool.conversation("q1"):
            replies = await chat.abatch(["same"] * 5)
        return [reply.response_metadata["key"] for reply in replies]

    first = await keys()
    assert len(set(first)) == 5
    assert await keys() == first
