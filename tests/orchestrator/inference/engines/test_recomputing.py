"""Decoding without a key-value cache: for models that do not batch soundly with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.inference.engines.recomputing import decodes_in_batches
from orchestrator.inference.pretrained import load_model, load_tokenizer
from tests.orchestrator.inference.engines.tiny import tiny


@pytest.mark.parametrize(("kind", "sound"), [("tied", True), ("state-space", False)])
def test_a_model_whose_past_is_no_cache_is_found_out(
    kind: str, sound: bool, model_folder: Path, tmp_path: Path
) -> None:
    folder = tiny(tmp_path / kind, model_folder, kind, 1)
    tokenizer = load_tokenizer(folder)
    ids = tokenizer("What is the capital of France, and what is it known for?")["input_ids"]
    assert decodes_in_batches(load_model(folder), tokenizer, ids) is sound
