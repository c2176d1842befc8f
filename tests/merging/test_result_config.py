"""config.json follows what happened to the layers, or the merge is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_decoders import RNG, Tensors, decoder, stacked, write

from merging.plan import Merge
from merging.recipe_file import parse
from merging.result_config import result_config
from merging.settings import RecipeError


def stack(folder: Path, *ends: tuple[int, int]) -> dict[str, Any]:
    slices = stacked(*((folder, *each) for each in ends))
    return result_config(Merge(parse({"merge_method": "passthrough", "slices": slices})))


def test_what_is_said_by_a_layers_number_follows_it(tmp_path: Path) -> None:
    own = {"1": {"head_dim": 8}, "3": {"head_dim": 16}}
    folder = write(tmp_path / "a", decoder(4), num_hidden_layers=4, per_layer_config=own, id2label={"0": "x", "1": "y"})
    found = stack(folder, (0, 2), (1, 4))
    assert found["per_layer_config"] == {"1": {"head_dim": 8}, "2": {"head_dim": 8}, "4": {"head_dim": 16}}
    assert found["id2label"] == {"0": "x", "1": "y"}


@pytest.mark.parametrize(
    ("said", "every"),
    [({"model_type": "gemma2"}, 2), ({"model_type": "cohere2"}, 4), ({"sliding_window_pattern": 3}, 3)],
)
def test_windows_that_go_by_a_layers_number_are_written_out(tmp_path: Path, said: dict[str, Any], every: int) -> None:
    folder = write(tmp_path / "a", decoder(4), num_hidden_layers=4, **said)
    before = ["sliding_attention" if (n + 1) % every else "full_attention" for n in range(4)]
    assert stack(folder, (0, 1), (1, 4), (2, 4))["layer_types"] == [before[n] for n in (0, 1, 2, 3, 2, 3)]
    assert "layer_types" not in stack(folder, (0, 4))


def test_a_short_list_that_repeats_is_written_out_where_the_layers_move(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", decoder(4), num_hidden_layers=4, block_types=["recurrent", "attention"])
    kinds_of = stack(folder, (0, 2), (1, 4))["block_types"]
    assert kinds_of == ["recurrent", "attention", "attention", "recurrent", "attention"]
    assert stack(folder, (0, 4))["block_types"] == ["recurrent", "attention"]


def kinds(pattern: str) -> Tensors:
    """A decoder whose layers have an extra tensor of the letter's name."""
    extra = {f"model.layers.{n}.{letter}.weight": RNG.normal(size=(2, 2)) for n, letter in enumerate(pattern)}
    return decoder(len(pattern)) | extra


@pytest.mark.parametrize(
    ("pattern", "ends", "fits"),
    [
        ("rrar", ((0, 3), (0, 3)), True),  # every third attends
        ("rrar", ((0, 3), (1, 4)), False),
        ("xyy", ((0, 3), (1, 3)), True),  # the first is of its own kind, all others alike
        ("xyy", ((0, 2), (0, 2)), False),
        ("xy", ((0, 2), (0, 2)), False),  # nobody knows what comes third
        ("x", ((0, 1), (0, 1)), True),
        ("xx", ((1, 2), (0, 2), (0, 2)), True),
    ],
)
def test_a_kind_of_layer_without_a_list_must_fit_the_model_s_own_turn(
    tmp_path: Path, pattern: str, ends: tuple[tuple[int, int], ...], fits: bool
) -> None:
    folder = write(tmp_path / "a", kinds(pattern), num_hidden_layers=len(pattern))
    if fits:
        assert stack(folder, *ends)["num_hidden_layers"] == sum(last - first for first, last in ends)
        return
    with pytest.raises(RecipeError, match=r"no list in config\.json says which layers"):
        stack(folder, *ends)


def test_a_count_that_is_no_number_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", decoder(2), num_hidden_layers="2")
    with pytest.raises(ValueError, match="num_hidden_layers is '2', no whole number"):
        stack(folder, (0, 2))


def test_a_vocabulary_that_changed_is_stated(tmp_path: Path) -> None:
    tensors = decoder(1)
    tensors["model.embed_tokens.weight"] = np.ones((9, 4))
    folder = write(tmp_path / "a", tensors, num_hidden_layers=1, vocab_size=6)
    assert stack(folder, (0, 1))["vocab_size"] == 9


def test_layers_of_other_sizes_and_ends_of_other_vocabularies_are_refused(tmp_path: Path) -> None:
    head = {"lm_head.weight": RNG.normal(size=(6, 4))}
    a = write(tmp_path / "a", decoder(2) | head, num_hidden_layers=2, tie_word_embeddings=False)
    wide = {f"model.layers.{n}.attn.weight": RNG.normal(size=(8, 4)) for n in range(2)}
    b = write(tmp_path / "b", decoder(2) | head | wide, num_hidden_layers=2, layer_types=["x", "y"])
    raw = {"merge_method": "passthrough", "slices": stacked((a, 0, 2), (b, 1, 2))}
    with pytest.raises(RecipeError, match=r"shape \[8, 4\], in .*a \[4, 4\]: config\.json has one size for all layers"):
        result_config(Merge(parse(raw)))
    longer = {"lm_head.weight": RNG.normal(size=(7, 4)), "model.embed_tokens.weight": RNG.normal(size=(7, 4))}
    c = write(tmp_path / "c", decoder(2) | longer, num_hidden_layers=2, tie_word_embeddings=False)
    for first, last in ((a, c), (c, a)):
        raw = {"merge_method": "passthrough", "slices": stacked((first, 0, 2), (last, 1, 2))}
        with pytest.raises(RecipeError, match=r"embedding of the result has \d tokens, its output layer \d"):
            result_config(Merge(parse(raw)))


def test_sizes_that_config_json_lists_follow_their_layers(tmp_path: Path) -> None:
    tensors = decoder(2) | {"model.layers.1.attn.weight": RNG.normal(size=(8, 4))}
    folders = [write(tmp_path / name, tensors, num_hidden_layers=2, head_sizes=[4, 8]) for name in "ab"]
    slices = stacked((folders[0], 1, 2), (folders[1], 0, 2))
    found = result_config(Merge(parse({"merge_method": "passthrough", "slices": slices})))
    assert found["head_sizes"] == [8, 4, 8]


def test_a_list_of_kinds_alone_may_say_how_many_layers_there_are(tmp_path: Path) -> None:
    listed = {"layers_block_type": ["mamba", "moe", "mamba"], "mtp_layers_block_type": ["full", "moe", "moe"]}
    found = stack(write(tmp_path / "a", decoder(3), **listed), (0, 3), (1, 3))
    assert found["layers_block_type"] == ["mamba", "moe", "mamba", "moe", "mamba"]
    assert found["mtp_layers_block_type"] == listed["mtp_layers_block_type"]
    with pytest.raises(RecipeError, match="does not say under a known key"):
        stack(write(tmp_path / "b", decoder(3), labels_by_layer=[1, 2, 3]), (0, 3), (1, 3))


def test_layers_that_use_the_tensors_of_another_do_not_move(tmp_path: Path) -> None:
    # Both are hybrid, and the second has no tensors of its own for what they share.
    tensors = decoder(4) | {"model.layers.1.shared.weight": RNG.normal(size=(2, 2))}
    listed = {"num_hidden_layers": 4, "layers_block_type": ["linear", "hybrid", "linear", "hybrid"]}
    folder = write(tmp_path / "a", tensors, **listed)
    assert stack(folder, (0, 4))["num_hidden_layers"] == 4
    with pytest.raises(RecipeError, match=r"layer 1 has other tensors .* it uses tensors of another layer"):
        stack(folder, (0, 3), (1, 4))
