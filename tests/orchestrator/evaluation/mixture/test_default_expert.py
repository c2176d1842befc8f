"""Whom the mixture asks what is unlike everything: the model behind a specialist rather than the specialist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.evaluation.mixture.default_expert import default_expert
from orchestrator.evaluation.mixture.fit import fit_mixture
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights
from router.table import Table

LLAMA, OTHER = Path("llama"), Path("other")
ADAPTER = Weights(LLAMA, Path("adapter"))


@pytest.fixture
def mixture(table: Table, embedder: Any) -> FittedMixture:
    found = fit_mixture(table, FittingOptions(), embedder)
    assert found.best in ("coins", "words")
    return found


def expert(name: str, weights: Weights | None = None, recipe: ExpertRecipe | None = None) -> Expert:
    return Expert(name, name, "shape", weights=weights, recipe=recipe, script=None if weights or recipe else "m:f")


def zoo(mixture: FittedMixture, best: Expert, weak: Expert) -> dict[str, Expert]:
    others = {name: expert(name) for name in mixture.experts}
    return {**others, mixture.best: best, "weak": weak}


def test_an_adapter_or_a_merge_gives_way_to_the_model_that_it_was_made_from(mixture: FittedMixture) -> None:
    base = expert("weak", Weights(LLAMA))
    merge = ExpertRecipe("ties", (ADAPTER, ADAPTER), (0.5, 0.5), base=Weights(LLAMA))
    for best in (expert(mixture.best, ADAPTER), expert(mixture.best, recipe=merge)):
        assert default_expert(mixture, zoo(mixture, best, base)) == "weak"


def test_whoever_was_made_from_nothing_here_stays(mixture: FittedMixture) -> None:
    adapted, whole = expert(mixture.best, ADAPTER), expert(mixture.best, Weights(LLAMA))
    average = expert(mixture.best, recipe=ExpertRecipe("linear", (ADAPTER, ADAPTER), (0.5, 0.5)))
    for best, weak in (
        (adapted, expert("weak", Weights(OTHER))),
        (adapted, expert("weak", Weights(LLAMA, Path("second")))),
        (adapted, expert("weak")),
        (average, expert("weak", Weights(LLAMA))),
        (whole, expert("weak", Weights(LLAMA))),
        (expert(mixture.best), expert("weak", Weights(LLAMA))),
    ):
        assert default_expert(mixture, zoo(mixture, best, weak)) == mixture.best


def test_the_configured_one_comes_first_if_the_mixture_ranks_it(mixture: FittedMixture) -> None:
    experts = zoo(mixture, expert(mixture.best, ADAPTER), expert("weak", Weights(LLAMA)))
    assert default_expert(mixture, experts, "coins") == "coins"
    assert default_expert(mixture, experts, "nobody") == "weak"
    assert default_expert(mixture, {}) == mixture.best
