"""Which files make a tokenizer, and what two of them share."""

from __future__ import annotations

from pathlib import Path

import pytest

from merging.checkpoint import CheckpointError
from orchestrator.inference.engines.tokenizer_files import check_tokenizer, mapping_digest, tokenizer_digest
from tests.orchestrator.inference.engines.tiny import changed_config


def test_a_tokenizer_saved_again_maps_alike_and_one_with_other_settings_is_another(
    model_folder: Path, tmp_path: Path
) -> None:
    import json

    again = changed_config(model_folder, tmp_path / "again")
    stored = json.loads((again / "tokenizer.json").read_text())
    (again / "tokenizer.json").write_text(json.dumps(stored, indent=1, sort_keys=True))
    assert mapping_digest(again) == mapping_digest(model_folder)
    begins = changed_config(model_folder, tmp_path / "bos", "tokenizer_config.json", add_bos_token=True)
    assert mapping_digest(begins) == mapping_digest(model_folder)
    assert tokenizer_digest(begins) != tokenizer_digest(model_folder)
    stored["model"]["vocab"]["<a-new-one>"] = len(stored["model"]["vocab"])
    (again / "tokenizer.json").write_text(json.dumps(stored))
    assert mapping_digest(again) != mapping_digest(model_folder)


def test_a_tokenizer_in_another_file_is_a_tokenizer_too(model_folder: Path, tmp_path: Path) -> None:
    one, two = (changed_config(model_folder, tmp_path / name) for name in ("one", "two"))
    for folder, text in ((one, "{}"), (two, '{"more": 1}')):
        (folder / "tokenizer.json").unlink()
        (folder / "tekken.json").write_text(text)
    assert mapping_digest(one) != mapping_digest(two)


def test_an_empty_tokenizer_is_refused_by_file(model_folder: Path, tmp_path: Path) -> None:
    folder = changed_config(model_folder, tmp_path / "odd")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer"):
        mapping_digest(folder)


def test_a_folder_without_a_vocabulary_is_refused_by_its_files_names(model_folder: Path, tmp_path: Path) -> None:
    folder = changed_config(model_folder, tmp_path / "odd")
    check_tokenizer(folder)
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    check_tokenizer(folder)
    (folder / "tokenizer.model").unlink()
    assert (folder / "tokenizer_config.json").exists()
    with pytest.raises(CheckpointError, match="no tokenizer"):
        check_tokenizer(folder)
