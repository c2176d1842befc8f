"""mergekit's YAML: read as it is, refused by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from merging.recipe import ModelRef
from merging.recipe_file import parse
from merging.settings import RecipeError

TWO = [{"model": "a", "parameters": {"weight": 1}}, {"model": "b", "parameters": {"weight": 1}}]


def recipe(**changes: Any) -> dict[str, Any]:
    return {"merge_method": "linear", "models": TWO, **changes}


def test_a_model_is_named_in_words_or_as_a_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "a+b@c"
    folder.mkdir()
    mapping = {"model": {"path": "m", "revision": "r"}, "lora": {"path": "l"}}
    found = parse(recipe(models=[{"model": str(folder)}, {"model": mapping}], parameters={"weight": 1}))
    assert found.models == (ModelRef(str(folder)), ModelRef("m", "l", "r"))


def test_a_revision_may_stand_beside_the_model_as_in_old_recipes() -> None:
    raw = {"merge_method": "linear", "models": [{"model": "lab/chat", "revision": "dpo-v0"}]}
    assert str(parse(raw).models[0]) == "lab/chat@dpo-v0"
    for given in ({"model": "lab/chat@v1", "revision": "v2"}, {"model": "lab/chat", "revision": 3}):
        with pytest.raises(RecipeError, match="revision: wants one revision of lab/chat"):
            parse({"merge_method": "linear", "models": [given]})
