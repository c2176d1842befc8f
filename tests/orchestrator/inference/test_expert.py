"""An expert: the folders that it needs, and its recipe in mergekit's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from merging.recipe_file import parse
from orchestrator.inference.expert import Expert, ExpertRecipe, Weights

BASE, ONE, TWO = (Weights(Path(f"/{name}")) for name in ("base", "one", "two"))
TUNED = Weights(Path("/base"), Path("/adapter"))


def test_its_folder_gives_config_and_tokenizer_and_its_files_must_be_on_the_node() -> None:
    assert Expert("a", "a", "s", weights=TUNED).folder == Path("/base")
    assert Expert("a", "a", "s", weights=TUNED).files == (Path("/base"), Path("/adapter"))
    merged = Expert("a", "a", "s", recipe=ExpertRecipe("linear", (ONE, TUNED, ONE), (1, 1, 1)))
    assert (merged.folder, merged.files) == (Path("/one"), (Path("/one"), Path("/base"), Path("/adapter")))
    based = Expert("a", "a", "s", recipe=ExpertRecipe("ties", (ONE, TWO), (1, 1), base=BASE))
    assert (based.folder, based.files) == (Path("/base"), (Path("/one"), Path("/two"), Path("/base")))
    with pytest.raises(ValueError, match="'a' has no checkpoint"):
        _ = Expert("a", "a", "s", script="x:y").folder


def test_a_recipe_reads_as_mergekits() -> None:
    recipe = ExpertRecipe("ties", (ONE, TUNED), (0.25, 0.75), BASE, {"lambda": 0.5}, ({"density": 0.5}, {"density": 1}))
    raw = recipe.raw()
    assert raw["models"][1] == {
        "model": {"model": {"path": "/base"}, "lora": {"path": "/adapter"}},
        "parameters": {"weight": 0.75, "density": 1},
    }
    assert (raw["merge_method"], raw["parameters"], raw["base_model"]) == (
        "ties",
        {"lambda": 0.5},
        {"model": {"path": "/base"}},
    )
    assert len(parse(raw).recipe.models if hasattr(parse(raw), "recipe") else raw["models"]) == 2
    assert "base_model" not in ExpertRecipe("linear", (ONE, TWO), (1, 1)).raw()
