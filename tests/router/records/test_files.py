"""Files that anyone may have written: compressed, encoded, or broken, and always within bounds."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pyarrow
import pytest

from router.records.files import CHUNK, RecordError, Text, bare_name, reading, text_chunks, text_lines


def lines(path: Path) -> list[tuple[int, str]]:
    with reading(path) as file:
        return list(text_lines(file, path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_compressed_files_are_opened_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    text = b"one\ntwo"
    packed = {
        "": lambda: text,
        ".gz": lambda: gzip.compress(text),
        ".bz2": lambda: bz2.compress(text),
        ".zst": lambda: pyarrow.compress(text, codec="zstd", asbytes=True),
    }[suffix]()
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed)
    assert bare_name(path) == "a.txt"
    assert lines(path) == [(1, "one\n"), (2, "two")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_are_known_by_their_marks(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("é\n答\n".encode(encoding))
    assert lines(path) == [(1, "é\n"), (2, "答\n")]
    with reading(path) as file:
        assert "".join(text_chunks(file, path)) == "é\n答\n"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none.txt: cannot be read: No such file"), reading(tmp_path / "none.txt"):
        pass
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 1_000)[:-20])
    with pytest.raises(RecordError, match=r"a.gz: cannot be read"):
        lines(tmp_path / "a.gz")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(RecordError, match=r"latin"):
        lines(tmp_path / "latin")


def test_text_is_read_in_pieces_and_its_rest_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * (CHUNK + 5))
    with reading(tmp_path / "a") as file:
        assert [len(chunk) for chunk in text_chunks(file, tmp_path / "a")] == [CHUNK, 5]
    text = Text(iter([" \n", " {", "}\nx"]))
    assert text.next_mark() == "{"
    assert text.line(100).endswith("{}\n")
    with pytest.raises(RecordError, match="a of more than 0 MiB"):
        Text(iter(["x", "yz"])).rest(2, "a")
    assert Text(iter(["x", "yz"])).rest(3, "a") == "xyz"
