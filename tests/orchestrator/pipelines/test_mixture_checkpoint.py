"""Experts of one shape as one checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_llama

from agents.question import Question
from merging.checkpoint import Checkpoint
from orchestrator.config import Config, validate
from orchestrator.errors import BadInput
from orchestrator.experts.zoo import resolve
from orchestrator.pipelines.glue import GlueRequest
from orchestrator.pipelines.mixture_checkpoint import MixtureForm, check_dense_layers, mixture_checkpoint


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


@pytest.mark.parametrize("form", ["F-L-T", "F-M-S", "B-L-S"])
def test_a_hybrids_lowest_layers_are_the_merged_models(config: Config, form: MixtureForm) -> None:
    zoo = resolve(config)
    pair = [zoo["a"], zoo["b"]]
    questions = [Question(id=str(number), question=text) for number, text in enumerate(("Add", "Spell"))]
    whole = mixture_checkpoint(pair, questions, [0, 1], config, form)
    hybrid = mixture_checkpoint(pair, questions, [0, 1], config, form, dense_layers=1)
    assert (whole.name, hybrid.name) == (form, f"{form}-hybrid-1")
    assert whole.weights
    assert hybrid.weights
    assert whole.weights.model != hybrid.weights.model
    made = Checkpoint(hybrid.weights.model)
    parts = [expert.weights.model for expert in pair if expert.weights]
    name = "model.layers.0.mlp.up_proj.weight"
    mean = sum(np.asarray(Checkpoint(part).array(name), "f8") for part in parts) / 2
    if form == "F-L-T":
        lowest = [made.array(f"model.layers.0.block_sparse_moe.experts.{n}.w3.weight") for n in range(2)]
        for found in lowest:
            np.testing.assert_allclose(found, mean, atol=1e-6)
        highest = [made.array(f"model.layers.1.block_sparse_moe.experts.{n}.w3.weight") for n in range(2)]
        assert not np.allclose(*highest)
    else:
        assert made.config["dense_layers"] == 1
        found = [made.array(other) for other in made.tensors if "layers.0." in other and "up_proj" in other]
        assert len(found) == 1
        np.testing.assert_allclose(found[0], mean, atol=1e-6)


def test_dense_layers_that_leave_none_to_route_are_refused_before_anything_is_asked(config: Config) -> None:
    zoo = resolve(config)
    with pytest.raises(BadInput, match=r"dense_layers: 2 of the 2 layers of 'a' leave none to route"):
        check_dense_layers(2, [zoo["a"]])
    with pytest.raises(ValueError, match="set ffn_questions too"):
        GlueRequest(dense_layers=1)
