"""One engine, experts of many makes: each answers as in an engine that never held another."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.inference.engines.canary import OTHER_ENGINE, difference
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights
from tests.orchestrator.inference.engines.conftest import make_adapter
from tests.orchestrator.inference.engines.quantised import plain_copy, quantised
from tests.orchestrator.inference.engines.tiny import changed_config

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

OPTIONS = EngineOptions(batch=4, kv_gib=0.05, context=256, memory_gib=2, kept_gib=0.05)


@pytest.fixture(scope="module")
def zoo(tiny_model: Callable[[str, int], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Expert]:
    """A dense tied model with a fine-tune, an adapter and a recipe; a mixture of experts; transposed matrices."""
    place = tmp_path_factory.mktemp("zoo")
    folders = {
        f"{kind}-{seed}": tiny_model(kind, seed) for kind in ("tied", "mixture", "transposed") for seed in (1, 2)
    }
    experts = {
        name: Expert(name, name, name.split("-")[0], weights=Weights(folder), context=256)
        for name, folder in folders.items()
    }
    adapter = make_adapter(place / "adapter", folders["tied-1"], seed=5)
    experts["adapted"] = Expert("adapted", "adapted", "tied", weights=Weights(folders["tied-1"], adapter), context=256)
    pair = (Weights(folders["tied-1"]), Weights(folders["tied-2"]))
    recipe = ExpertRecipe("linear", pair, (0.5, 0.5))
    experts["merged"] = Expert("merged", "merged", "tied", recipe=recipe, context=256)
    return experts


def new_engine() -> Any:
    from orchestrator.inference.engines.vllm import VLLMEngine

    return VLLMEngine(OPTIONS)


@pytest.fixture(scope="module")
def engine(vllm_installed: None) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = new_engine()
        yield made
        made.close()


@pytest.fixture(scope="module")
def alone(zoo: dict[str, Expert], vllm_installed: None) -> dict[str, Any]:
    """Each expert's canary from an engine of its own: by a start from disk, or built from scratch."""
    found = {}
    for kind in ("tied", "mixture", "transposed"):
        made = new_engine()
        for expert in zoo.values():
            if expert.shape == kind:
                made.load(expert)
                made._shape().renew(expert, made.sources.blend(expert))
                found[expert.name] = made.canary()
        made.close()
    return found


def wander(engine: Any, zoo: dict[str, Expert], alone: dict[str, Any], swaps: int) -> set[str]:
    """Random swaps; the ways that were taken."""
    chooser = random.Random(1)
    ways = set()
    for _ in range(swaps):
        expert = chooser.choice(list(zoo.values()))
        ways.add(engine.load(expert).way)
        assert difference(alone[expert.name], engine.canary(), 0.005) is None, expert.name
    return ways


def test_whatever_was_resident_before_an_expert_answers_as_if_it_were_alone(
    engine: Any, zoo: dict[str, Expert], alone: dict[str, Any]
) -> None:
    canaries = list(alone.values())
    assert all(difference(one, other) for i, one in enumerate(canaries) for other in canaries[:i])
    assert wander(engine, zoo, alone, 30) >= {"start", "in_place", "wake"}


@pytest.mark.soak
def test_on_a_card_two_shapes_sleep_and_wake_in_processes_of_their_own(
    zoo: dict[str, Expert], alone: dict[str, Any]
) -> None:
    """The real vLLM held to CUDA's rules: whoever sleeps loses its weights, and graphs keep the model that they saw."""
    from tests.orchestrator.inference.engines.cuda_engine import EngineOnCard

    made = EngineOnCard(OPTIONS)
    ways = []
    try:
        for name in ("tied-1", "tied-2", "transposed-1", "adapted", "transposed-2", "merged", "tied-1"):
            ways.append(made.load(zoo[name]).way)
            # In another process, with threads of its own: rounding differs, another expert's replies do not pass.
            assert difference(alone[name], made.canary()) is None, name
    finally:
        with warnings.catch_warnings():  # vLLM leaves its sockets to the garbage collector
            warnings.simplefilter("ignore")
            made.close()
    assert ways == ["start", "in_place", "start", "wake", "wake", "wake", "in_place"]


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_thousand_swaps_and_no_memory_kept(engine: Any, zoo: dict[str, Expert], alone: dict[str, Any]) -> None:
    import psutil

    wander(engine, zoo, alone, 200)
    gc.collect()
    before = psutil.Process().memory_info().rss
    wander(engine, zoo, alone, 2000)
    gc.collect()
    assert psutil.Process().memory_info().rss < before + 200 * 2**20


def test_weights_written_in_place_are_believed_only_once_they_equal_a_fresh_load(
    engine: Any, zoo: dict[str, Expert], alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layout whose derived values no write reaches: the first canary would otherwise be the truth."""
    from orchestrator.inference.engines.vllm_weights import LiveWeights

    made = new_engine()
    made.load(zoo["tied-1"])
    shape = made._shape()
    real = LiveWeights.become
    # It says that it wrote all, and left the first matrix out.
    monkeypatch.setattr(
        LiveWeights, "become", lambda self, blend: (setattr(self, "slots", self.slots[3:]), real(self, blend))[1]
    )
    made.load(zoo["tied-2"])
    assert difference(alone["tied-2"], made.canary(), 0.005) is None
    assert "other replies than from scratch" in shape.refusal
    made.load(zoo["tied-1"])
    assert difference(alone["tied-1"], made.canary(), 0.005) is None
    made.close()


@pytest.mark.parametrize("change", [{"sliding_window": 8}, {"architectures": ["MistralForCausalLM"]}], ids=str)
def test_what_transformers_does_not_read_in_a_config_changes_no_answer_of_vllm(
    engine: Any, zoo: dict[str, Expert], alone: dict[str, Any], reference: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    """vLLM gives a window to models of any type, and builds the class that `architectures` names."""
    folder = changed_config(zoo["tied-1"].folder, tmp_path / "odd", **change)
    odd = Expert(str(change), str(change), str(change), weights=Weights(folder), context=256)
    assert engine.load(odd).way == "start"
    assert difference(alone["tied-1"], engine.canary(), 0.005) is None
    assert difference(reference(odd, 4), engine.canary(), OTHER_ENGINE) is None


def test_an_expert_of_a_mixture_that_holds_nan_is_refused_whether_or_not_the_canary_meets_it(
    engine: Any, zoo: dict[str, Expert], alone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    from orchestrator.errors import ExpertError
    from orchestrator.inference.engines import vllm

    folder = changed_config(zoo["mixture-1"].folder, tmp_path / "odd")
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.block_sparse_moe.experts.2.w2.weight"
    tensors[name][5, 7] = float("nan")
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    monkeypatch.setattr(vllm, "is_finite", lambda canary: True)  # as where its prompts meet other experts
    engine.load(zoo["mixture-2"])
    with pytest.raises(ExpertError, match=f"'{name}' holds NaN"):
        engine.load(Expert("odd", "odd", "mixture", weights=Weights(folder), context=256))
    engine.load(zoo["mixture-1"])
    assert difference(alone["mixture-1"], engine.canary(), 0.005) is None


def test_each_expert_stops_at_its_own_end_token(engine: Any, zoo: dict[str, Expert], tmp_path: Path) -> None:
    """Two experts in one engine whose config.json name different end tokens."""
    from tests.orchestrator.inference.engines.conftest import Subject

    base = zoo["tied-1"]
    engine.load(base)
    subject = Subject("vllm", engine, base, base)
    request = subject.request("Tell me about rivers.", base, logprobs=0, max_tokens=6, ignore_eos=True)
    said = [token.token for delta in subject.run(request, expert=base)[request.key] for token in delta.logprobs]
    token = engine.prompts.tokenizer(base).convert_tokens_to_ids(
        engine.prompts.tokenizer(base).tokenize(said[2]) or [said[2]]
    )[0]
    folder = changed_config(base.folder, tmp_path / "other", eos_token_id=token)
    other = Expert("other-end", "other-end", base.shape, weights=Weights(folder), context=256)
    assert engine.load(other).way == "in_place"
    cut = subject.request("Tell me about rivers.", other, max_tokens=6)
    last = subject.run(cut, expert=other)[cut.key][-1]
    assert token in engine.prompts.stop_ids(other)
    assert last.finish_reason == "stop"
    assert subject.engine.load(base).way == "in_place"
    again = subject.request("Tell me about rivers.", base, max_tokens=6)
    assert subject.run(again, expert=base)[again.key][-1].finish_reason == "length"


def test_quantised_experts_swap_as_the_numbers_that_they_stand_for(
    engine: Any, zoo: dict[str, Expert], tmp_path: Path
) -> None:
    """vLLM has no kernels for them on most CPUs."""
    said = {}
    for seed in (1, 2):
        packed = quantised(zoo[f"tied-{seed}"].folder, tmp_path / f"packed-{seed}", "awq")
        for folder in (packed, plain_copy(packed, tmp_path / f"plain-{seed}")):
            kind = folder.name.split("-")[0]
            expert = Expert(folder.name, folder.name, kind, weights=Weights(folder), context=256)
            way = engine.load(expert).way
            said[folder.name] = engine.canary()
        assert way == ("start" if seed == 1 else "wake")
        assert difference(said[f"plain-{seed}"], said[f"packed-{seed}"], 0.005) is None
    assert difference(said["packed-1"], said["packed-2"])
