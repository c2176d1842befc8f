"""Which slices make which tower, and how deep each layer lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_decoders import decoder, linear, stacked, write

from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError
from merging.sources import open_models
from merging.tower_slices import TowerSlices


def slices_of(raw: dict[str, Any]) -> TowerSlices:
    recipe = parse(raw)
    return TowerSlices(recipe, open_models(recipe, {}, {}))


def test_the_layers_of_each_slice_run_from_depth_0_to_1(tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, decoder(4), num_hidden_layers=4) for name in "ab")
    made = slices_of({"merge_method": "passthrough", "slices": stacked((a, 0, 3), (b, 3, 4), (b, 1, 3))})
    (layers,) = made.layers.values()
    assert [layer.number(layer.part.sources[0]) for layer in layers] == [0, 1, 2, 3, 1, 2]
    assert [layer.depth for layer in layers] == [0, 0.5, 1, 1, 0, 1]


def test_a_part_that_no_module_names_is_kept(tmp_path: Path) -> None:
    vision = {name: array for name, array in decoder(2, "vision_tower.").items() if ".layers." in name}
    config = {"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 2}}
    a, b = (write(tmp_path / name, decoder(2, "language_model.model.") | vision, **config) for name in "ab")
    raw = {"merge_method": "linear", "modules": {"text_decoder": {"models": linear(a, b)["models"]}}}
    made = slices_of(raw)
    text, sight = made.layers
    assert made.of(text) is not None
    assert made.of(sight) is None
    assert made.unnamed(f"{sight}0.attn.weight")
    assert not made.unnamed(f"{text}0.attn.weight")


@pytest.mark.parametrize("ends", [[3, 1], [0, -1], [-2, 2], [0, 2.5], [0], "0-4", None, [0, 1, 2], [True, 2]])
def test_a_range_that_is_none_is_refused(tmp_path: Path, ends: Any) -> None:
    a = write(tmp_path / "a", decoder(4), num_hidden_layers=4)
    sources = [{"model": str(a), "layer_range": ends}]
    with pytest.raises(RecipeError, match=r"layer_range: wants \[first, one past the last\]"):
        parse({"merge_method": "passthrough", "slices": [{"sources": sources}]})


def test_a_range_past_the_last_layer_is_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a", decoder(4), num_hidden_layers=4)
    with pytest.raises(RecipeError, match=r"layer_range \[2, 6\] of .*: it has 4 layers"):
        Merge(parse({"merge_method": "passthrough", "slices": stacked((a, 0, 2), (a, 2, 6))}))


def test_a_result_without_layers_is_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a", decoder(4), num_hidden_layers=4)
    with pytest.raises(RecipeError, match="every layer_range is empty: the result would have no layer in"):
        Merge(parse({"merge_method": "passthrough", "slices": stacked((a, 0, 0), (a, 2, 2))}))
    made = slices_of({"merge_method": "passthrough", "slices": stacked((a, 0, 0), (a, 2, 3))})
    assert [len(layers) for layers in made.layers.values()] == [1]


def test_each_tower_may_come_from_another_model(tmp_path: Path) -> None:
    vision = {name: array for name, array in decoder(2, "vision_tower.").items() if ".layers." in name}
    config = {"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 2}}
    a, b = (write(tmp_path / name, decoder(2, "language_model.model.") | vision, **config) for name in "ab")
    modules = {"vision_tower": linear(a)["models"], "text_decoder": linear(b)["models"]}
    plan = Merge(parse({"merge_method": "linear", "modules": {k: {"models": v} for k, v in modules.items()}}))
    reasons = {left.model: left.reason for left in plan.left_out}
    assert reasons == dict.fromkeys(map(str, (a, b)), "no module of the recipe takes this part from it")
