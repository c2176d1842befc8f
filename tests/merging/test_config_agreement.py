"""Configurations that disagree: heads are refused, the rest is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_decoders import decoder, linear, write

from merging.checkpoint import CheckpointError
from merging.plan import Merge
from merging.recipe_file import parse

SAID: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "silu", "eos_token_id": 2}
SAID |= {"model_type": "llama", "rope_theta": 10000.0, "rms_norm_eps": 1e-6}


def notes_of(tmp_path: Path, first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    folders = write(tmp_path / "a", decoder(2), **first), write(tmp_path / "b", decoder(2), **second)
    return [note for note in Merge(parse(linear(*folders))).notes if "config.json" in note]


def test_weights_cut_into_other_heads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"num_attention_heads 4, .*a 2: weights that are cut into heads"):
        notes_of(tmp_path, SAID, {**SAID, "num_attention_heads": 4})


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("rope_theta", 500000.0, "rope_theta 500000.0 (there 10000.0)"),
        ("hidden_act", "gelu", "hidden_act gelu (there silu)"),
        ("model_type", "mistral", "model_type mistral (there llama)"),
        ("eos_token_id", [2, 3], "eos_token_id [2, 3] (there 2)"),
        ("rms_norm_eps", 1e-5, "rms_norm_eps 1e-05 (there 1e-06)"),
        ("rope_parameters", {"rope_theta": 5.0, "rope_type": "default"}, "rope_theta"),
    ],
)
def test_what_one_model_says_otherwise_is_named(tmp_path: Path, key: str, value: Any, text: str) -> None:
    second = {**SAID, key: value}
    if key == "rope_parameters":
        del second["rope_theta"]
    (note,) = notes_of(tmp_path, SAID, second)
    assert text in note
    assert "which the result has" in note


@pytest.mark.parametrize(
    "second",
    [
        {"hidden_act": "swish"},
        {"torch_dtype": "float16", "use_cache": False, "transformers_version": "4.0"},
        {"rope_theta": None, "rope_parameters": {"rope_theta": 10000, "rope_type": "default"}},
        {"num_key_value_heads": None, "num_labels": 3},
    ],
)
def test_other_spellings_of_the_same_are_no_disagreement(tmp_path: Path, second: dict[str, Any]) -> None:
    said = {key: value for key, value in {**SAID, **second}.items() if value is not None}
    assert notes_of(tmp_path, SAID, said) == []
