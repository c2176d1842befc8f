"""Whether rounding explains that an engine says otherwise than transformers: wrong weights are never explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.canary import Canary
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.reference import references
from orchestrator.inference.expert import Expert, Weights
from orchestrator.pipelines import check_exact as module
from orchestrator.pipelines.check_exact import not_rounding

EXPERT = Expert("e", "print", "s")


def canary(moved: float) -> Canary:
    """Four likely tokens, each log-probability moved."""
    return [[(token, -1.0 - token + moved) for token in range(4)]]


class Engine:
    """Says `canary` in float32; `why`: it cannot."""

    def __init__(self, said: Canary, why: str = "") -> None:
        self.said, self.why = said, why
        self.loaded: list[Expert] = []
        self.closed = False

    def load(self, expert: Expert) -> None:
        self.loaded.append(expert)
        if self.why:
            raise ExpertFailed(self.why)

    def canary(self) -> Canary:
        return self.said

    def close(self) -> None:
        self.closed = True


def look(
    monkeypatch: pytest.MonkeyPatch, exact: Any, engine: Engine, found: float = 0.85, rounded: float = 0.3
) -> str | None:
    """`exact`: transformers in float32; `rounded`: in bfloat16; `found`: the engine in bfloat16."""
    seen: list[str] = []

    def references(experts: list[Expert], tokens: int, dtype: str) -> list[Any]:
        seen.append(dtype)
        return [exact]

    monkeypatch.setattr(module, "references", references)
    made: Any = engine
    why = not_rounding(EXPERT, canary(found), canary(rounded), lambda: made)
    assert seen == ["float32"]
    return why


def test_what_rounding_does_to_transformers_too_is_rounding_if_both_agree_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(canary(0.02))
    assert look(monkeypatch, canary(0.0), engine) is None
    (loaded,) = engine.loaded
    assert loaded.dtype == "float32"
    assert loaded.shape != EXPERT.shape
    assert loaded.fingerprint != EXPERT.fingerprint
    assert engine.closed


def test_weights_that_are_wrong_in_float32_too_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(canary(0.85))
    assert "in float32, where nothing is rounded: token 0" in (look(monkeypatch, canary(0.0), engine) or "")
    assert engine.closed


def test_an_engine_that_is_right_in_float32_only_is_not_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels for bfloat16 that are wrong: transformers' own rounding is far smaller."""
    why = look(monkeypatch, canary(0.0), Engine(canary(0.0)), found=2.0, rounded=0.05)
    assert why == "rounding moves log-probabilities by 0.050, the engine is off by 1.950"
    assert look(monkeypatch, canary(0.0), Engine(canary(0.0)), found=9.0, rounded=4.0)


def test_other_tokens_are_never_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "references", lambda *_, **__: [canary(0.0)])
    other: Canary = [[(token, -1.0 - token) for token in range(9, 13)]]
    made: Any = Engine(canary(0.0))
    assert not_rounding(EXPERT, other, canary(0.3), lambda: made)


def test_what_cannot_be_computed_in_float32_is_not_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "transformers cannot" in (look(monkeypatch, module.NoReference("no"), Engine(canary(0.0))) or "")
    assert "the engine cannot" in (look(monkeypatch, canary(0.0), Engine(canary(0.0), "no kernels")) or "")
    made: Any = None
    assert not_rounding(Expert("e", "p", "s", dtype="float32"), canary(1.0), canary(0.0), made)


OPTIONS = EngineOptions(batch=4, kv_gib=0.05, context=128, canary_tokens=2)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Expert]:
    """Two tiny models of one shape."""
    from orchestrator.experts.demo import FULL, locate
    from tests.orchestrator.inference.engines.tiny import tiny

    place = tmp_path_factory.mktemp("pair")
    folders = [tiny(place / f"m{seed}", locate(FULL), "tied", seed) for seed in (1, 2)]
    return [Expert(folder.name, folder.name, "s", weights=Weights(folder)) for folder in folders]


@pytest.fixture(scope="module")
def computed() -> Any:
    """transformers' canaries, each computed once: every call is a process that imports the library."""
    known: dict[Any, Any] = {}

    def once(experts: list[Expert], tokens: int, dtype: str = "auto") -> list[Any]:
        key = (tuple(one.fingerprint for one in experts), tokens, dtype)
        if key not in known:
            known[key] = references(experts, tokens, dtype=dtype)
        return known[key]

    return once


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["transformers", "vllm"])
def test_real_engines_in_float32_agree_with_transformers_and_only_with_their_own_weights(
    name: str, pair: list[Expert], computed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.inference.schedule.placement import local_engine

    pytest.importorskip(name)
    expert, other = pair
    monkeypatch.setattr(module, "references", computed)
    (reference,) = computed([expert], OPTIONS.canary_tokens)
    assert isinstance(reference, list)
    # What 16 bits might do: another sum, by less than what is suspicious between engines.
    rounded = [[(token, chance + 0.3) for token, chance in step] for step in reference]
    loaded: list[Expert] = []

    def make(weights: Weights | None) -> Any:
        engine: Any = local_engine(name, OPTIONS)
        real = engine.load

        def load(wanted: Expert) -> Any:
            loaded.append(wanted)
            return real(replace(wanted, weights=weights))

        engine.load = load
        return engine

    assert not_rounding(expert, rounded, reference, lambda: make(expert.weights)) is None
    if name == "transformers":  # a second start of vLLM would show the same
        why = not_rounding(expert, rounded, reference, lambda: make(other.weights))
        assert "in float32, where nothing is rounded" in str(why)
    assert {one.dtype for one in loaded} == {"float32"}
