"""langchain-core's own conformance suites against `ExpertChat` on the scripted engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from orchestrator.inference.chat import ExpertChat
from orchestrator.inference.engines.scripted import ScriptedEngine
from orchestrator.inference.expert import Expert
from orchestrator.inference.schedule.host import InProcess
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.supervisor import WorkerSpec


class Offered:
    """What the suites need to know of `ExpertChat`. Tools are not offered."""

    pool: LocalPool
    expert = Expert("echo", "fingerprint of echo", "s")

    @property
    def chat_model_class(self) -> type[ExpertChat]:
        return ExpertChat

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"pool": self.pool, "expert": self.expert}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return True


@pytest.fixture(scope="class", autouse=True)
def _pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    ledger = Ledger(tmp_path_factory.mktemp("state") / "ledger.sqlite")
    with LocalPool(
        [WorkerSpec("w", "local", lambda: InProcess("w", ScriptedEngine))], ledger, kind_of=lambda _: "local"
    ) as pool:
        request.cls.pool = pool
        yield
    ledger.close()


class TestUnit(Offered, ChatModelUnitTests):
    pass


class TestIntegration(Offered, ChatModelIntegrationTests):
    pass
