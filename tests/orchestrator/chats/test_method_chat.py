"""Methods as chat models: langchain-core's own conformance suites, on scripted experts that call tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from orchestrator.chats.method_chat import MethodChat
from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput, NoAnswer, RequestError
from orchestrator.inference.chat import ExpertChat
from router.row import Row
from router.table import Table

SCRIPTS = '''
"""Experts that call the tool that they are offered, once, and answer in a few words else."""
import json

def _filled(schema, text):
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {name: _filled(one, text) for name, one in schema.get("properties", {}).items()}
    return {"integer": 3, "number": 3, "boolean": True, "array": []}.get(kind, text)

def able(messages, seed):
    text = messages[-1][1]
    if text == "die":
        raise ValueError("secret")
    offered = [line for _, content in messages for line in content.splitlines() if line.startswith('{"type": "func')]
    if offered and "<tool_response>" not in text:
        function = json.loads(offered[0])["function"]
        return json.dumps({"name": function["name"], "arguments": _filled(function.get("parameters", {}), text)})
    return f"Hello there, {len(messages)} messages."

other = able
'''


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collegium]:
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "method_chats.py").write_text(SCRIPTS)
    rows = (Row(f"q{n}", f"Word {n}?", {"able": 1.0, "other": float(n % 2)}) for n in range(8))
    Table.from_rows(rows, ("able", "other")).write(folder / "profile.jsonl")
    config = {
        "experts": {name: {"script": f"method_chats:{name}"} for name in ("able", "other")},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(folder / "state"),
        "service": {"profile": str(folder / "profile.jsonl")},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with Collegium(config) as collegium:
            yield collegium


class Suite:
    """What the suites need to know."""

    method: str
    zoo: Collegium

    @pytest.fixture(autouse=True)
    def _zoo(self, zoo: Collegium) -> None:
        type(self).zoo = zoo

    @property
    def chat_model_class(self) -> Any:
        return MethodChat

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"chats": self.zoo._chats, "method": self.method}

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestFusionUnit(Suite, ChatModelUnitTests):
    method = "fusion"


class TestFusion(Suite, ChatModelIntegrationTests):
    method = "fusion"


class TestMixture(Suite, ChatModelIntegrationTests):
    method = "mixture"


class TestExpertWithTools(Suite, ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> Any:
        return ExpertChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": self.zoo.pool, "expert": self.zoo.experts["able"]}


@tool
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


async def test_a_chat_of_a_method_is_the_same_however_it_is_asked(zoo: Collegium) -> None:
    chat = zoo.chat("fusion", preset="budget")
    wanted = "Hello there, 1 messages."
    first = await chat.ainvoke("Good morning!")
    assert first.content == wanted
    assert first.response_metadata["collegium"]["fusion"]["stopped"] == "consensus"
    assert chat.invoke("Good morning!").content == wanted  # on a running loop, which it blocks
    with ThreadPoolExecutor(4) as threads:
        assert {one.content for one in threads.map(chat.invoke, ["Good morning!"] * 8)} == {wanted}
    assert [one.content for one in await chat.abatch(["a", "b", "c"])] == [wanted] * 3
    assert [one.content for one in chat.batch(["a", "b", "c"])] == [wanted] * 3
    parts = [part async for part in chat.astream("Good morning!")]
    assert "".join(str(part.content) for part in parts) == wanted
    assert "able: Hello" in "".join(part.additional_kwargs.get("reasoning_content", "") for part in parts)
    assert "".join(str(part.content) for part in chat.stream("Good morning!")) == wanted


async def test_tools_of_the_mixture_go_to_the_expert_and_their_results_too(zoo: Collegium) -> None:
    chat = zoo.chat("mixture").bind_tools([double])
    asked = HumanMessage("Twice three?")
    called = await chat.ainvoke([asked])
    assert isinstance(called, AIMessage)
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("double", {"number": 3})
    done = await chat.ainvoke([asked, called, ToolMessage("6", tool_call_id=call["id"])])
    assert "Hello there" in done.content
    streamed = [part async for part in chat.astream([asked])]
    whole = streamed[0]
    for part in streamed[1:]:
        whole += part
    assert whole.tool_calls[0]["args"] == {"number": 3}  # type: ignore[attr-defined]


async def test_structured_output_is_held_to_its_schema(zoo: Collegium) -> None:
    class Greeting(BaseModel):
        text: str
        loud: bool

    for model in ("fusion", "mixture", "able"):
        found = await zoo.chat(model).with_structured_output(Greeting).ainvoke("Greet me.")
        assert isinstance(found, Greeting)


async def test_what_cannot_be_done_is_refused_by_name(zoo: Collegium) -> None:
    with pytest.raises(BadInput, match="no expert or method 'nobody'"):
        zoo.chat("nobody")
    with pytest.raises(RequestError, match="tools: "):
        await zoo.chat("vote").bind_tools([double]).ainvoke("x")
    with pytest.raises(RequestError, match="response_format"):
        await zoo.chat("vote").with_structured_output({"title": "T", "type": "object"}).ainvoke("x")
    with pytest.raises(RequestError, match="presence_penalty"):
        await zoo.chat("fusion").ainvoke("x", presence_penalty=9)
    with pytest.raises(RequestError, match="no_such_option"):
        await zoo.chat("fusion").ainvoke("x", no_such_option=1)
    with pytest.raises(NoAnswer):
        await zoo.chat("fusion").ainvoke("die")


async def test_a_cancelled_call_leaves_the_others(zoo: Collegium) -> None:
    chat = zoo.chat("mixture")
    tasks = [asyncio.create_task(chat.ainvoke(f"hello {number}")) for number in range(8)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(isinstance(one, AIMessage) for one in outcomes[1:])


def test_every_method_is_a_chat_model(zoo: Collegium) -> None:
    for model in ("vote", "reconcile", "best", "self-consistency", "moa", "single"):
        reply = zoo.chat(model).invoke("Good morning!")
        assert reply.content == "Hello there, 1 messages.", model
    assert json.dumps(zoo.chat("vote")._identifying_params)
    assert Path(zoo.state).exists()
