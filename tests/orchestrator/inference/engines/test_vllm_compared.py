"""A type of model that nobody has compared: vLLM's answers are held against transformers once, before any is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines import compared_types, vllm
from orchestrator.inference.engines.agreement import COMPARED_TOKENS
from orchestrator.inference.engines.compared_types import equal_before
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.reference import NoReference, Reference, references
from orchestrator.inference.engines.vllm import VLLMEngine
from orchestrator.inference.expert import Expert, Weights

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.usefixtures("vllm_installed"),
]


@pytest.fixture(autouse=True)
def unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compared_types, "TYPES", frozenset())


@pytest.fixture
def engine() -> Iterator[Callable[[], VLLMEngine]]:
    made: list[VLLMEngine] = []

    def make() -> VLLMEngine:
        made.append(VLLMEngine(EngineOptions(batch=4, kv_gib=0.05, context=128)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def experts(tiny_model: Callable[[str, int], Path]) -> list[Expert]:
    folders = [tiny_model("tied", seed) for seed in (1, 2)]
    return [Expert(folder.name, folder.name, "s", weights=Weights(folder), context=64) for folder in folders]


def test_it_is_compared_once_and_refused_by_name_where_the_two_differ(
    engine: Callable[[], VLLMEngine], tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = experts(tiny_model)
    found: list[Reference | NoReference] = []
    asked: list[str] = []
    computed = references([first, second], COMPARED_TOKENS)

    def compute(some: list[Expert], tokens: int) -> list[Reference | NoReference]:
        asked.extend(one.name for one in some)
        return found

    monkeypatch.setattr(vllm, "references", compute)
    found = computed[:1]
    live = engine()
    assert live.load(first).uncompared == ""
    assert live.load(second).way == "in_place"
    assert asked == [first.name]  # another of the shape needs no comparison of its own,
    assert equal_before(second, _config(first))  # nor does another engine

    wrong = computed[1]
    assert isinstance(wrong, Reference)
    found = [Reference(wrong.rounded, None, "too large")]  # as if vLLM computed another model
    monkeypatch.setattr(compared_types, "device", lambda: "another device")
    other = engine()
    for _ in range(2):
        with pytest.raises(ExpertFailed, match=r"vLLM answers otherwise than .* type 'llama'"):
            other.load(first)
    assert asked == [first.name] * 2  # the second time it remembered

    monkeypatch.setattr(compared_types, "device", lambda: "a third device")
    found = [NoReference("no such class")]
    assert other.load(first).uncompared == "no such class"
    assert other.load(second).uncompared == "no such class"


def _config(expert: Expert) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((expert.folder / "config.json").read_text())
    return config
