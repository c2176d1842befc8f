"""Experts of one shape as one checkpoint."""

from __future__ import annotations

import pytest
import tiny_llama

from agents.question import Question
from orchestrator.config import Config, validate
from orchestrator.errors import BadInput
from orchestrator.experts.zoo import resolve
from orchestrator.pipelines.mixture_checkpoint import mixture_checkpoint


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("zoo")
    experts = {
        name: {"model": str(tiny_llama.write(folder / name, seed, "float32"))} for seed, name in enumerate("abc")
    }
    return validate({"experts": experts, "state": str(folder / "state")}, folder / "c.yaml")


def test_a_mixture_wants_two_experts_with_questions(config: Config) -> None:
    zoo = resolve(config)
    questions = [Question(id="1", question="Add"), Question(id="2", question="Spell")]
    with pytest.raises(BadInput, match="F-L-S wants at least two experts"):
        mixture_checkpoint([zoo["a"], zoo["b"]], questions, [0, None], config, "F-L-S")
