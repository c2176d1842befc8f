"""An expert's weights in plain values, for a worker in another process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.inference.engines.vllm_live import described, undescribed
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights

BASE, TUNED = Weights(Path("/base")), Weights(Path("/base"), Path("/adapter"))
RECIPE = ExpertRecipe("ties", (BASE, TUNED), (0.5, 1.0), BASE, {"lambda": 0.8}, ({"density": 0.5}, {}), seed=7)


@pytest.mark.parametrize(
    "expert",
    [Expert("a", "a", "s", weights=BASE), Expert("a", "a", "s", weights=TUNED), Expert("a", "a", "s", recipe=RECIPE)],
)
def test_weights_and_recipes_come_back_from_plain_values(expert: Expert) -> None:
    found = undescribed(json.loads(json.dumps(described(expert))))
    assert (found.weights, found.recipe) == (expert.weights, expert.recipe)


def test_an_expert_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' has no weights"):
        described(Expert("a", "a", "s", script="x:y"))
