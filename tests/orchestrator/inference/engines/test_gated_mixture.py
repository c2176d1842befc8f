"""Our own kind of mixture as an expert like any other, in the transformers engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_llama

from agents.question import Question
from merging.checkpoint import Checkpoint
from merging.gated_mixture import GatedMixture
from merging.gates import LinearGates
from merging.stream import linear, plain
from orchestrator.config import Config, validate
from orchestrator.errors import ExpertError
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.canary import OTHER_ENGINE, Canary, difference
from orchestrator.inference.engines.engine import EngineOptions
from orchestrator.inference.engines.transformers import TransformersEngine
from orchestrator.inference.engines.vllm_shape import LiveModel
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Request, Sampling, request_key
from orchestrator.pipelines.mixture_checkpoint import MixtureForm, mixture_checkpoint

PROMPTS = ("Hi", "What is seven plus five, and why?", "x" * 90)
ASKED: tuple[MixtureForm, ...] = ("F-L-T", "F-M-T", "F-L-S", "B-M-S")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("zoo")
    experts = {
        name: {"model": str(tiny_llama.write(folder / name, seed, "float32"))} for seed, name in enumerate("abc")
    }
    return validate({"experts": experts, "state": str(folder / "state")}, folder / "c.yaml")


def replies(engine: TransformersEngine, expert: Expert, prompts: tuple[str, ...]) -> dict[str, str]:
    """What it says to each prompt, all in one batch."""
    engine.load(expert)
    keys = {}
    for prompt in prompts:
        messages, sampling = (("user", prompt),), Sampling(max_tokens=5)
        keys[request_key(expert.fingerprint, messages, sampling)] = prompt
        engine.add(Request(list(keys)[-1], expert.name, messages, sampling), expert)
    said, left = dict.fromkeys(keys.values(), ""), set(keys)
    while left:
        for delta in engine.step():
            assert delta.error is None
            said[keys[delta.key]] += delta.text
            if delta.last:
                left.discard(delta.key)
    return said


@pytest.mark.parametrize("form", ASKED)
def test_every_form_answers_in_a_batch_as_it_does_alone(
    form: MixtureForm, config: Config, reference: Callable[..., Canary]
) -> None:
    questions = [Question(id=str(n), question=f"{'Add' if n % 2 else 'Spell'} {n}") for n in range(8)]
    zoo = resolve(config)
    experts = [zoo[name] for name in "abc"]
    owners = [n % 3 for n in range(8)]
    mixed = mixture_checkpoint(experts, questions, owners, config, form)
    assert mixed.fingerprint == mixture_checkpoint(experts, questions, owners, config, form).fingerprint
    engine = TransformersEngine(EngineOptions(batch=2))
    together = replies(engine, mixed, PROMPTS)
    assert together == {prompt: replies(engine, mixed, (prompt,))[prompt] for prompt in PROMPTS}
    assert len(set(together.values())) > 1
    assert difference(reference(mixed, 2, "float32"), engine.canary(), OTHER_ENGINE) is None
    engine.close()


def test_mixtures_of_one_form_replace_one_another_in_place(config: Config, tmp_path: Path) -> None:
    models = [(Checkpoint(Path(config.experts[name].model or "")), None) for name in "ab"]
    experts = {}
    for number in range(2):
        gates = np.random.default_rng(number).standard_normal((2, 2, 48)).astype(np.float32)
        made = GatedMixture(linear(models, [1, number]), tuple(plain(model) for model in models), LinearGates(gates))
        made.write(tmp_path / str(number))
        experts[f"m{number}"] = {"model": str(tmp_path / str(number))}
    zoo = resolve(validate({"experts": experts, "state": str(tmp_path / "state")}, tmp_path / "c.yaml"))
    engine = TransformersEngine(EngineOptions(batch=4))
    with pytest.raises(ExpertError, match="runs on the transformers engine only"):
        LiveModel(zoo["m0"], Checkpoint(zoo["m0"].folder), EngineOptions())
    first = replies(engine, zoo["m0"], PROMPTS)
    assert engine.load(zoo["m1"]).way == "in_place"
    assert replies(engine, zoo["m1"], PROMPTS) != first
    assert replies(engine, zoo["m0"], PROMPTS) == first
    engine.close()
