"""Merges as experts: a candidate of a search becomes a recipe, or the expert itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from merging.search import Candidate
from orchestrator.expert_config import ExpertConfig
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.merges import Merges


def merges(method: str = "linear", layers: int = 4) -> Merges:
    experts = {
        "a": ExpertConfig(model="/a", skills=["sums"]),
        "b": ExpertConfig(model="/base", adapter="/b", skills=["sums", "logic"]),
        "c": ExpertConfig(model="/c"),
    }
    context: Any = SimpleNamespace(config=SimpleNamespace(experts=experts))
    return Merges("glued", ["a", "b", "c"], method, "/base", layers, context, [], Sampling(), 3)


def candidate(*weights: tuple[float, ...], densities: tuple[tuple[float, ...], ...] = ()) -> Candidate:
    return Candidate(weights, densities)


def test_a_candidate_is_a_recipe_of_the_sources_that_it_uses() -> None:
    entry = merges().entry(candidate((0.5, 0.25, 0.0)))
    assert entry.recipe is not None
    assert [(one.model, one.adapter, one.weight) for one in entry.recipe.sources] == [
        ("/a", None, 0.5),
        ("/base", "/b", 0.25),
    ]
    assert (entry.recipe.method, entry.recipe.base, entry.recipe.seed) == ("linear", None, 3)
    assert entry.skills == ["sums", "logic"]


def test_methods_on_task_vectors_have_the_base_and_a_density_each() -> None:
    entry = merges("ties").entry(candidate((1.0, 1.0, 0.0), densities=((0.5, 0.7, 1.0),)))
    assert entry.recipe is not None
    assert entry.recipe.base == "/base"
    assert [one.parameters for one in entry.recipe.sources] == [{"density": 0.5}, {"density": 0.7}]


def test_layer_groups_become_one_value_a_layer_and_one_for_the_rest() -> None:
    entry = merges().entry(candidate((0.9, 0.1, 0.0), (0.5, 0.2, 0.0), (0.6, 0.3, 0.0)))
    assert entry.recipe is not None
    (by_layer, rest) = entry.recipe.sources[0].parameters["weight"]
    assert by_layer == {"filter": ".layers.", "value": [0.5, 0.5, 0.6, 0.6]}
    assert rest == {"value": 0.9}


def test_weights_name_who_is_used() -> None:
    assert set(merges().weights(candidate((0.5, 0.25, 0.0)))) == {"a", "b"}
