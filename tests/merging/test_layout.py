"""Every tensor is used or named; what a model lacks is refused under the name that another one stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_decoders import RNG, Tensors, decoder, linear, write

from merging.checkpoint import CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse


def pair(tmp_path: Path, a: Tensors, b: Tensors, **config: object) -> tuple[Path, Path]:
    folders = [write(tmp_path / name, tensors, num_hidden_layers=2, **config) for name, tensors in (("a", a), ("b", b))]
    return folders[0], folders[1]


@pytest.mark.parametrize("part", ["score.weight", "v_head.summary.weight", "qa_outputs.bias"])
def test_an_output_for_a_purpose_of_its_own_is_the_first_models_or_left_out(tmp_path: Path, part: str) -> None:
    plain, topped = pair(tmp_path, decoder(2), decoder(2) | {part: RNG.normal(size=(3, 4))})
    plan = Merge(parse(linear(plain, topped)))
    assert part not in plan.names
    assert [left.reason for left in plan.left_out if part in left.names] == [f"{plain} (XForCausalLM) has no such part"]
    plan = Merge(parse(linear(topped, plain)))
    assert part in plan.names
    assert any(note.startswith(f"{part}: taken over from {topped}") for note in plan.notes)


def test_a_lost_norm_is_refused_by_the_name_that_the_other_stores(tmp_path: Path) -> None:
    lost = {name: array for name, array in decoder(2).items() if name != "model.norm.weight"}
    folders = pair(tmp_path, lost, decoder(2))
    for order in (folders, folders[::-1]):
        with pytest.raises(CheckpointError, match=rf"a: tensor 'model\.norm\.weight' is missing \({folders[1]} has it"):
            Merge(parse(linear(*order)))


def test_an_output_layer_lost_from_an_untied_model_is_refused(tmp_path: Path) -> None:
    head = {"lm_head.weight": RNG.normal(size=(6, 4))}
    lost, whole = pair(tmp_path, decoder(2), decoder(2) | head, tie_word_embeddings=False)
    for order in ((lost, whole), (whole, lost)):
        with pytest.raises(CheckpointError, match=r"tensor 'lm_head\.weight' is missing"):
            Merge(parse(linear(*order)))


def test_a_zero_sized_and_an_integer_tensor_arrive(tmp_path: Path) -> None:
    more = {"model.layers.0.none": np.zeros((0, 4)), "model.layers.0.steps": np.array([1])}
    a, b = pair(tmp_path, decoder(2) | more, decoder(2) | {**more, "model.layers.0.steps": np.array([2])})
    plan = Merge(parse(linear(a, b)))
    assert plan.array("model.layers.0.none").shape == (0, 4)
    assert plan.array("model.layers.0.steps").tolist() == [1]
    assert any(f"model.layers.0.steps: I64, not merged: {a}'s, from which others differ" in note for note in plan.notes)
