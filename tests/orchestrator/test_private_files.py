"""Files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.private_files import private_file


def test_file_and_folder_are_the_owners_alone_and_what_was_there_stays(tmp_path: Path) -> None:
    path = private_file(tmp_path / "a" / "b" / "keys.json")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text("kept")
    path.chmod(0o644)
    assert private_file(path).read_text() == "kept"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_says_which_key_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/keys.json: cannot be written: .*; set `state:`"):
        private_file(tmp_path / "file" / "keys.json")
    assert not os.path.exists(tmp_path / "file" / "keys.json")
