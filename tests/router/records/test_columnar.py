"""Parquet and Arrow, row by row, with class labels by their names."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from router.records.columnar import BATCH, arrow, parquet
from router.records.files import RecordError

LABELS = b'{"info": {"features": {"mood": {"_type": "ClassLabel", "names": ["sad", "glad"]}}}}'


def table(rows: int = 3) -> pyarrow.Table:
    made = pyarrow.table({"id": list(range(rows)), "mood": [n % 2 for n in range(rows)]})
    return made.replace_schema_metadata({b"huggingface": LABELS})


def test_rows_of_parquet_come_with_their_numbers_and_labels(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(table(BATCH + 2), tmp_path / "a.parquet")
    rows = list(parquet(tmp_path / "a.parquet"))
    assert rows[0] == (1, {"id": 0, "mood": "sad"})
    assert rows[-1] == (BATCH + 2, {"id": BATCH + 1, "mood": "glad"})


@pytest.mark.parametrize("form", ["new_stream", "new_file"])
def test_both_forms_of_arrow_are_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.arrow"
    with path.open("wb") as file, getattr(pyarrow.ipc, form)(file, table().schema) as writer:
        writer.write_table(table())
    assert list(arrow(path)) == [
        (1, {"id": 0, "mood": "sad"}),
        (2, {"id": 1, "mood": "glad"}),
        (3, {"id": 2, "mood": "sad"}),
    ]


def test_a_file_that_is_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(RecordError, match=r"a.bin: row 1: not readable as Parquet"):
        list(parquet(tmp_path / "a.bin"))
    with pytest.raises(RecordError, match=r"a.bin: row 1: not readable as Arrow"):
        list(arrow(tmp_path / "a.bin"))
