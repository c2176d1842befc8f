"""mergekit's YAML: read as it is, refused by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from merging.recipe import ModelRef
from merging.recipe_file import parse

TWO = [{"model": "a", "parameters": {"weight": 1}}, {"model": "b", "parameters": {"weight": 1}}]


def recipe(**changes: Any) -> dict[str, Any]:
    return {"merge_method": "linear", "models": TWO, **changes}


def test_a_model_is_named_in_words_or_as_a_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "a+b@c"
    folder.mkdir()
    mapping = {"model": {"path": "m", "revision": "r"}, "lora": {"path": "l"}}
    found = parse(recipe(models=[{"model": str(folder)}, {"model": mapping}], parameters={"weight": 1}))
    assert found.models == (ModelRef(str(folder)), ModelRef("m", "l", "r"))
