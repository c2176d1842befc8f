"""The transformers engine says what its model says, and refuses files of another architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import CollegiumError
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.expert import Expert, Weights
from tests.orchestrator.inference.engines.quantised import plain_copy, quantised
from tests.orchestrator.inference.engines.tiny import changed_config

# What vLLM says while an engine starts.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

OPTIONS = EngineOptions(batch=4, kv_gib=0.05, context=256, memory_gib=2, kept_gib=0.05)


@pytest.mark.parametrize("kind", ["state-space", "alibi", "mixture"])
def test_the_transformers_engine_says_what_its_model_says(kind: str, tiny_model: Callable[[str, int], Path]) -> None:
    """Also where the past is no key-value cache, and where loading changes the tensors' names."""
    import torch

    from orchestrator.inference.engines.transformers import TransformersEngine
    from tests.orchestrator.inference.engines.conftest import Subject

    engine = TransformersEngine(OPTIONS)
    for seed in (1, 2):
        folder = tiny_model(kind, seed)
        expert = Expert(str(folder), str(folder), kind, weights=Weights(folder), context=256, dtype="float32")
        engine.load(expert)
        subject = Subject("transformers", engine, expert, expert)
        requests = [
            subject.request(text, expert, max_tokens=5, ignore_eos=True, logprobs=0) for text in ("Hi", "Tell me")
        ]
        found = subject.run(*requests, expert=expert)
        for request in requests:
            ids = engine.prompts.ids(expert, request.messages, request.sampling)
            wanted = []
            for _ in range(5):
                with torch.inference_mode():
                    wanted.append(int(engine._model(input_ids=torch.tensor([ids + wanted])).logits[0, -1].argmax()))
            said = [token.token for delta in found[request.key] for token in delta.logprobs]
            assert said == [engine.prompts.tokenizer(expert).decode([token]) for token in wanted]
    engine.close()


def test_a_checkpoint_with_a_renamed_tensor_is_refused_by_transformers_too(
    tiny_model: Callable[[str, int], Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from orchestrator.inference.engines.transformers import TransformersEngine

    folder = changed_config(tiny_model("tied", 1), tmp_path / "renamed")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.mlp.other_proj.weight"] = tensors.pop("model.layers.0.mlp.up_proj.weight")
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    engine = TransformersEngine(OPTIONS)
    with pytest.raises(CollegiumError, match=r"missing keys: model\.layers\.0\.mlp\.up_proj\.weight"):
        engine.load(Expert("renamed", "renamed", "renamed", weights=Weights(folder), context=256))
    engine.close()


@pytest.mark.parametrize("form", ["awq", "gptq-8", "fp8", "bnb-4", "compressed-w4a16"])
def test_a_quantised_expert_answers_and_swaps_as_what_it_stands_for(
    form: str, tiny_model: Callable[[str, int], Path], tmp_path: Path
) -> None:
    from orchestrator.inference.engines.transformers import TransformersEngine

    engine = TransformersEngine(OPTIONS)
    said = {}
    for seed in (1, 2):
        packed = quantised(tiny_model("tied", seed), tmp_path / f"packed-{seed}", form)
        for folder in (packed, plain_copy(packed, tmp_path / f"plain-{seed}")):
            kind = folder.name.split("-")[0]
            engine.load(Expert(folder.name, folder.name, kind, weights=Weights(folder), context=256))
            said[folder.name] = engine.canary()
    engine.load(Expert("packed-1", "packed-1", "packed", weights=Weights(tmp_path / "packed-1"), context=256))
    again = Expert("packed-2", "packed-2", "packed", weights=Weights(tmp_path / "packed-2"), context=256)
    assert engine.load(again).way == "in_place"
    assert engine.canary() == said["packed-2"] == said["plain-2"]
    assert said["packed-1"] == said["plain-1"] != said["plain-2"]
    engine.close()
