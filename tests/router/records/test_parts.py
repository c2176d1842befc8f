"""What a path holds: one file, or a folder whose names say their splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.records.files import RecordError
from router.records.parts import Part, parts, split_in


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/test-00000-of-00001.parquet", "test"),
        ("validation/a.jsonl.gz", "validation"),
        ("my_train.csv", "train"),
        ("latest.csv", None),
        ("contest/a.csv", None),
    ],
)
def test_the_split_is_in_the_name(name: str, split: str | None) -> None:
    assert split_in(Path(name)) == split


def test_a_folder_gives_its_files_with_their_splits_and_no_hidden_ones(tmp_path: Path) -> None:
    for name in ("train.jsonl", "sub/test.csv", ".hidden.jsonl", "_cache/a.jsonl", "README.md", "dataset_info.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"question": "a"}\n' if "csv" not in name else "question\nb\n")
    found = parts(tmp_path)
    assert found == [Part(tmp_path / "sub" / "test.csv", "test"), Part(tmp_path / "train.jsonl", "train")]
    assert [list(part.records()) for part in found] == [[(2, {"question": "b"})], [(1, {"question": "a"})]]
    assert found[1].place(3) == f"{tmp_path / 'train.jsonl'}:3"
    assert Part(tmp_path / "a.parquet").place(3) == f"{tmp_path / 'a.parquet'}: row 3"


def test_what_is_not_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name, message in (("a.pkl", "a pickle can run a program"), ("a.txt", "this kind of file is not read")):
        (tmp_path / name).write_text("hello")
        with pytest.raises(RecordError, match=message):
            parts(tmp_path / name)
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    with pytest.raises(RecordError, match="unpack it first"):
        parts(tmp_path / "a.parquet.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="no file of records in it"):
        parts(tmp_path / "empty")
    (tmp_path / "text.data").write_text('{"question": "a"}')  # JSON under any name
    assert len(parts(tmp_path / "text.data")) == 1


def test_a_saved_dataset_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../a.arrow"}]}))
    with pytest.raises(RecordError, match="lies outside the folder"):
        parts(tmp_path)
