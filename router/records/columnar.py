"""Records of Parquet and Arrow files, a batch at a time. Class labels come back as their names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from router.records.files import RecordError

BATCH = 512
"""Rows that are in memory at a time."""


def parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row from 1, cells by column) of a Parquet file. Raises `RecordError` for a file that cannot be read as that."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            named = _labels(file.schema_arrow)
            for batch in file.iter_batches(BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, named(row)
    except (OSError, pyarrow.ArrowException) as error:
        raise RecordError(f"{path}: row {number + 1}: not readable as Parquet: {error}") from error


def arrow(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row from 1, cells by column) of an Arrow stream or file, as `Dataset.save_to_disk` writes them. Raises
    `RecordError` for a file that cannot be read as that."""
    import pyarrow
    import pyarrow.ipc

    number = 0
    try:
        with pyarrow.memory_map(str(path)) as source:
            schema, batches = _batches(source)
            named = _labels(schema)
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH):
                    for row in batch.slice(start, BATCH).to_pylist():
                        number += 1
                        yield number, named(row)
    except (OSError, pyarrow.ArrowException) as error:
        raise RecordError(f"{path}: row {number + 1}: not readable as Arrow: {error}") from error


def _batches(source: Any) -> tuple[Any, Iterator[Any]]:
    import pyarrow
    import pyarrow.ipc

    try:
        stream = pyarrow.ipc.open_stream(source)
        return stream.schema, iter(stream)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        file = pyarrow.ipc.open_file(source)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _labels(schema: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How to name the class labels, of which Hugging Face's files keep the numbers in the rows and the names in the
    schema: a sentiment of 1 is "positive", not the number 1."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = {key: list(one["names"]) for key, one in features.items() if one.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, ValueError, AttributeError):
        names = {}
    if not names:
        return lambda row: row

    def named(row: dict[str, Any]) -> dict[str, Any]:
        for key, labels in names.items():
            value = row.get(key)
            if isinstance(value, int) and 0 <= value < len(labels):
                row[key] = labels[value]
        return row

    return named
