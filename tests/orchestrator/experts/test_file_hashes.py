"""SHA-256 of files, once: read again only where a file changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from orchestrator.experts import file_hashes
from orchestrator.experts.file_hashes import FileHashes


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    seen: list[Path] = []
    real = file_hashes._hashed
    monkeypatch.setattr(file_hashes, "_hashed", lambda file: (seen.append(file), real(file))[1])
    return seen


def test_a_file_is_read_once_also_by_the_next_process(tmp_path: Path, read: list[Path]) -> None:
    (tmp_path / "a").write_text("one")
    known = FileHashes(tmp_path / "cache" / "hashes.json")
    wanted = hashlib.sha256(b"one").hexdigest()
    assert known(tmp_path / "a") == known(tmp_path / "a") == wanted
    known.save()
    assert FileHashes(tmp_path / "cache" / "hashes.json")(tmp_path / "a") == wanted
    assert read == [tmp_path / "a"]


def test_a_changed_file_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    known = FileHashes(tmp_path / "hashes.json")
    before = known(file)
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert known(file) != before
    assert known.derived("size", tmp_path, [file], lambda folder: "x") == "x"
    assert known.derived("size", tmp_path, [file], lambda folder: "y") == "x"  # the file is the same
    os.utime(file, ns=(2, 2))
    assert known.derived("size", tmp_path, [file], lambda folder: "y") == "y"


def test_several_are_prepared_at_once_and_a_broken_cache_is_none(tmp_path: Path, read: list[Path]) -> None:
    (tmp_path / "hashes.json").write_text("[not json")
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
    known = FileHashes(tmp_path / "hashes.json")
    known.prepare([*files, files[0]])
    assert sorted(read) == files
    known(files[1])
    assert len(read) == 3
