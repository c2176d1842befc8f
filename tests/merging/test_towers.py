"""The stacks of layers in a model: named, counted, sliced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import linear, stacked, write

from merging.checkpoint import Checkpoint
from merging.merge import merge
from merging.plan import Merge
from merging.recipe_file import parse
from merging.settings import RecipeError
from tests.scripts.two_towers import CONFIG, seeing


def test_a_slice_of_a_model_of_two_towers_names_its_tower(tmp_path: Path) -> None:
    a, b = seeing(), seeing()
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("a", a), ("b", b))]
    slices = stacked((folders[0], 0, 2), (folders[1], 0, 3))
    with pytest.raises(RecipeError, match="text_decoder, vision_tower: say under `modules:`"):
        Merge(parse({"merge_method": "passthrough", "slices": slices}))
    raw = {"merge_method": "passthrough", "modules": {"text_decoder": {"slices": slices}}, "dtype": "float32"}
    merge(parse(raw), tmp_path / "out")
    config = Checkpoint(tmp_path / "out").config
    assert config["text_config"]["num_hidden_layers"] == 5
    assert config["vision_config"]["num_hidden_layers"] == 2
    assert config["text_config"]["layer_types"] == ["a", "b", "a", "b", "c"]
    assert config["text_config"]["eos_token_id"] == [1, 2, 3]
    made = Checkpoint(tmp_path / "out")
    for place, (tensors, layer) in enumerate([(a, 0), (a, 1), (b, 0), (b, 1), (b, 2)]):
        name = "language_model.model.layers.{}.attn.weight"
        np.testing.assert_array_equal(made.array(name.format(place)), tensors[name.format(layer)].astype("f4"))
    sight = "vision_tower.encoder.layers.1.attn.weight"
    np.testing.assert_array_equal(made.array(sight), a[sight].astype("f4"))


def test_a_gradient_counts_the_layers_of_its_own_tower(tmp_path: Path) -> None:
    a, b = seeing(), seeing()
    folders = [write(tmp_path / name, tensors, **CONFIG) for name, tensors in (("a", a), ("b", b))]
    raw = linear(*folders, parameters={"normalize": False})
    raw["models"][0]["parameters"], raw["models"][1]["parameters"] = {"weight": [1, 0]}, {"weight": [0, 1]}
    plan = Merge(parse(raw))
    for name in ("vision_tower.encoder.layers.1.attn.weight", "language_model.model.layers.2.attn.weight"):
        np.testing.assert_allclose(plan.array(name), b[name], rtol=1e-6)
    middle = "language_model.model.layers.1.attn.weight"
    np.testing.assert_allclose(plan.array(middle), (a[middle] + b[middle]) / 2, rtol=1e-5, atol=1e-6)
