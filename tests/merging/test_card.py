"""The card of a merged model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from merging.merge import merge
from merging.recipe_file import parse

Family = Callable[[int], list[Path]]


def linear(folders: list[Path], **more: Any) -> dict[str, Any]:
    models = [{"model": str(folder), "parameters": {"weight": 1}} for folder in folders]
    return {"merge_method": "linear", "models": models, **more}


def test_the_card_names_recipe_sources_hashes_and_licences(family: Family, tmp_path: Path) -> None:
    import yaml

    folders = family(1)
    (folders[0] / "README.md").write_text("---\nlicense: apache-2.0\n---\n# x")
    (folders[1] / "README.md").write_text("---\nlicense: mit\n---\n# y")
    merge(parse(linear(folders)), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "other"
    assert front["base_model"] == [str(folder) for folder in folders]
    assert card.count("| apache-2.0 |") == card.count("| mit |") == 1
    assert "merge_method: linear" in card
