"""Names in a recipe become opened models, or a sentence that says the truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from merging.checkpoint import CheckpointError
from merging.sources import located, open_checkpoint


def test_a_hub_id_that_is_not_there_says_whom_it_asked(tmp_path: Path) -> None:
    """In a process of its own: the hub's library reads its settings once."""
    program = (
        "from merging.sources import located\ntry:\n    located('nobody/nothing-7b', None)\n"
        "except ValueError as error:\n    print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"nobody/nothing-7b: no such folder, and not in the cache {tmp_path} (HF_HUB_OFFLINE is set, so no hub was "
        "asked)\n"
    )


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "not a name", "a/b/c", "../x"])
def test_what_is_no_hub_id_is_no_such_folder(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"no such folder$"):
        located(name, None)


def test_an_adapter_alone_is_named_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"an adapter, and no model: write it behind its base, as BASE\+"):
        open_checkpoint(str(tmp_path))


def test_pickles_are_named_with_the_option_that_reads_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*--allow-bin"):
        open_checkpoint(str(tmp_path))


def test_a_folder_with_a_revision_is_refused_and_never_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="@main: a folder has no revisions"):
        located(str(tmp_path), "main")
