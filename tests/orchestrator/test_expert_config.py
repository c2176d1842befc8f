"""The part of the configuration that describes experts: one kind each, and no key in a file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.expert_config import ExpertConfig, PricesConfig, RecipeConfig

URL: dict[str, Any] = {"url": "https://x/v1", "model": "m"}


@pytest.mark.parametrize(
    "good",
    [
        {"model": "folder"},
        {"model": "folder", "adapter": "a"},
        {**URL, "headers": {"Authorization": "$MY_KEY", "X-Team": "blue"}, "timeout": 3},
        {"script": "a:b"},
        {"recipe": {"sources": [{"model": "a"}, {"model": "b", "weight": 0.5}]}},
    ],
)
def test_one_kind_of_expert_is_taken(good: dict[str, Any]) -> None:
    assert ExpertConfig.model_validate(good)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "exactly one of model, recipe, url, script"),
        ({"model": "a", "script": "a:b"}, "exactly one of"),
        ({"script": "a:b", "adapter": "x"}, "an adapter needs a model"),
        ({"url": "https://x/v1"}, "a url needs the model's name"),
        ({"url": "https://me:secret@x/v1", "model": "m"}, "api_key_env"),
        ({"model": "a", "timeout": 3}, "timeout belongs to an expert with a url"),
        ({**URL, "headers": {"Authorization": "Bearer abc"}}, "headers.Authorization: a key must not stand in a file"),
        ({**URL, "headers": {"X-Api-Key": "abc"}}, "a key must not stand in a file"),
        ({**URL, "headers": {"X-A": "line\nbreak"}}, "no header has such a name or value"),
        ({**URL, "extra_body": {"messages": []}}, "messages is not theirs to change"),
        ({"model": "a", "modle": "b"}, "modle"),
    ],
)
def test_what_fits_nowhere_is_refused_by_key(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExpertConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "nonsense"}, "nonsense"),
        ({"method": "ties"}, "a base"),
    ],
)
def test_a_recipe_that_no_merge_could_do_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RecipeConfig.model_validate({"sources": [{"model": "a"}, {"model": "b"}]} | wrong)


def test_weights_that_sum_to_zero_and_prices_below_zero_are_refused() -> None:
    with pytest.raises(ValidationError, match="sum to zero"):
        RecipeConfig.model_validate({"sources": [{"model": "a", "weight": 1}, {"model": "b", "weight": -1}]})
    for wrong in ({"input": -1}, {"output": float("inf")}):
        with pytest.raises(ValidationError):
            PricesConfig.model_validate(wrong)
